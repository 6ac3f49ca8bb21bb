"""`pushprune reconcile`: what it asks for, waits for and shows."""

import json
from collections.abc import Callable

import pytest

from service.domain import walk
from service.wiring import Wiring
from tests.cli.test_verbs import Run, run

__all__ = ["run"]  # the fixture


@pytest.fixture
def wiring(run: Run, make_wiring: Callable[..., Wiring], monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """A worker's; messages to it get lost."""
    url = "http://127.0.0.1:5000"
    monkeypatch.setenv("PUSHPRUNE_REGISTRY__URL", url)
    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", lambda _: None)
    return make_wiring(url)


@pytest.fixture
def worker(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has compared a repository as soon as a message is sent."""

    def works(_: object) -> None:
        wiring.walks.begin()
        wiring.walks.all_listed(["shop/api"])
        wiring.walks.compared("shop/api", 4, 3)
        assert wiring.walks.end()

    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", works)


def test_everything_is_compared_and_what_differed_is_said(run: Run, worker: None) -> None:
    code, output, _ = run("reconcile")
    assert code == 0
    assert "1 repositories with 4 tags compared" in output
    assert "3 tags differed (asked for by hand)" in output


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
