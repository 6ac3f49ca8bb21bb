"""`pushprune reconcile`: what it asks for, waits for and shows."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from service.domain import walk
from service.wiring import Wiring
from tests.cli.test_verbs import Run, run
from tests.fakes.registry import FakeRegistry
from workers import walk as walking

__all__ = ["run"]  # the fixture


@pytest.fixture
def wiring(run: Run, make_wiring: Callable[..., Wiring], monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiring]:
    """A worker's, over the registry of the command line: it walks as soon as something is asked for."""
    with FakeRegistry("2.8") as registry:
        monkeypatch.setenv("PUSHPRUNE_REGISTRY__URL", registry.url)
        monkeypatch.setattr("service.dispatch.Dispatch.reconcile", lambda _: None)
        registry.push_image("shop/api", "v9")
        worker = make_wiring(registry.url)
        yield worker


@pytest.fixture
def worker(wiring: Wiring) -> Iterator[None]:
    over = threading.Event()

    def walks() -> None:
        while not over.wait(0.01):
            walking.go_on(wiring)

    thread = threading.Thread(target=walks)
    thread.start()
    wiring.outbox.sign_of_life("worker@test")
    yield
    over.set()
    thread.join()


def test_everything_is_compared_and_what_differed_is_said(run: Run, worker: None) -> None:
    code, output, _ = run("reconcile")
    assert code == 0
    assert "1 repositories with 4 tags compared" in output
    assert "4 tags differed (asked for by hand)" in output


def test_one_repository_as_json(run: Run, worker: None) -> None:
    code, output, _ = run("reconcile", "shop/api", "--json")
    assert (code, json.loads(output)["tags"]) == (0, 4)


def test_the_status_says_what_is_wanted_and_what_comes_next(run: Run, wiring: Wiring) -> None:
    _, output, _ = run("reconcile", "--status")
    assert "nothing was compared yet" in output
    assert "next by the schedule" in output
    wiring.walks.request(walk.FIRST_START)
    assert "wanted: first start" in run("reconcile", "--status")[1]
    wiring.walks.begin()
    assert "the catalog is being read, because: first start" in run("reconcile", "--status")[1]


def test_without_a_worker_it_says_so(run: Run, wiring: Wiring) -> None:
    code, _, error = run("reconcile")
    assert (code, error) == (1, "pushprune: no worker is running that could compare: start one; it is done then\n")


def test_it_need_not_be_waited_for(run: Run, wiring: Wiring) -> None:
    code, output, _ = run("reconcile", "shop/api", "--no-wait")
    assert (code, "asked for" in output) == (0, True)
    assert wiring.walks.waiting(["shop/api"]) == ("shop/api",)


@pytest.mark.parametrize("arguments", [("shop/api:v1",), ("--status", "shop/api"), ("--status", "--no-wait")])
def test_what_makes_no_sense_is_said(run: Run, wiring: Wiring, arguments: tuple[str, ...]) -> None:
    code, _, error = run("reconcile", *arguments)
    assert code == 2
    assert "Traceback" not in error


def test_without_a_registry_it_says_what_to_set(run: Run) -> None:
    code, _, error = run("reconcile")
    assert (code, "registry.url is not set" in error) == (2, True)
