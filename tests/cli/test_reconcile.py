"""`pushprune reconcile`: its request, its wait, and its output."""

import json

import pytest

from service.domain.history import reconciliation
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture


@pytest.fixture
def wiring(run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """A worker's; messages to it get lost."""
    url = "http://127.0.0.1:5000"
    monkeypatch.setenv("PUSHPRUNE_REGISTRY__URL", url)
    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", lambda _: None)
    return make_wiring(url)


@pytest.fixture
def worker(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has compared a repository as soon as a message is sent."""

    def works(_: object) -> None:
        wiring.store.reconcile_runs.begin()
        wiring.store.reconcile_runs.note_all_pages(["shop/api"])
        wiring.store.reconcile_runs.compared("shop/api", 4, 3)
        assert wiring.store.reconcile_runs.end()

    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", works)


def test_all_repositories_are_compared_and_differences_are_reported(run: Run, worker: None) -> None:
    code, output, _ = run("reconcile")
    assert code == 0
    assert "1 repository with 4 tags compared" in output
    assert "(requested manually): " in output
    assert "3 tags differed" in output


def test_the_comparison_of_one_repository_is_printed_as_json(run: Run, worker: None) -> None:
    code, output, _ = run("reconcile", "shop/api", "--json")
    assert (code, json.loads(output)["tags"]) == (0, 4)


def test_the_status_says_what_is_wanted_and_what_comes_next(run: Run, wiring: Wiring) -> None:
    _, output, _ = run("reconcile", "--status")
    assert "nothing was compared yet" in output
    assert "next by the schedule" in output
    wiring.store.reconcile_runs.request(reconciliation.FIRST_START)
    assert "queued: first start" in run("reconcile", "--status")[1]
    wiring.store.reconcile_runs.begin()
    output = run("reconcile", "--status")[1]
    assert "running (first start): " in output
    assert ", reading the catalog" in output


def test_without_a_worker_it_says_so(run: Run, wiring: Wiring) -> None:
    code, _, error = run("reconcile")
    assert (code, error) == (1, "pushprune: no worker is running: start one, and the comparison runs then\n")


def test_no_wait_ends_before_the_run(run: Run, wiring: Wiring) -> None:
    code, output, _ = run("reconcile", "shop/api", "--no-wait")
    assert (code, "requested" in output) == (0, True)
    assert wiring.store.reconcile_runs.waiting(["shop/api"]) == ("shop/api",)


@pytest.mark.parametrize("arguments", [("shop/api:v1",), ("--status", "shop/api"), ("--status", "--no-wait")])
def test_wrong_arguments_are_refused_in_one_sentence(run: Run, wiring: Wiring, arguments: tuple[str, ...]) -> None:
    code, _, error = run("reconcile", *arguments)
    assert code == 2
    assert "Traceback" not in error


def test_without_a_registry_it_says_what_to_set(run: Run) -> None:
    code, _, error = run("reconcile")
    assert (code, "registry.url is not set" in error) == (2, True)


def test_globs_mean_what_is_known_and_a_typo_is_reported(run: Run, wiring: Wiring) -> None:
    assert run("reconcile", "shop/*", "--no-wait")[0] == 0
    assert wiring.store.reconcile_runs.waiting(["shop/api", "shop/*"]) == ("shop/api",)
    code, _, error = run("reconcile", "shp/*")
    assert (code, error) == (1, "pushprune: no repository shp/* is known; `pushprune repos` lists them\n")
    code, _, error = run("reconcile", "Shop")
    assert (code, error) == (2, "pushprune: 'Shop' can be no repository: write one such as shop/api\n")


def test_a_repository_that_is_nowhere_is_reported(run: Run, wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_nothing(_: object) -> None:
        wiring.store.reconcile_runs.compared("shop/ipa", 0, 0)
        wiring.store.reconcile_runs.end()

    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", finds_nothing)
    code, _, error = run("reconcile", "shop/ipa")
    assert (code, error) == (1, "pushprune: neither the registry nor the history has a tag of shop/ipa\n")


def test_the_reason_for_which_a_reconcile_run_waits_is_shown(
    run: Run, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring.store.outbox.sign_of_life("w1")

    def fails(_: object) -> None:
        wiring.store.reconcile_runs.begin()
        wiring.store.reconcile_runs.note_catalog_failure("the registry cannot be reached")

    def recovers(_: float) -> None:
        wiring.store.reconcile_runs.note_all_pages(["shop/api"])
        wiring.store.reconcile_runs.compared("shop/api", 3, 0)
        wiring.store.reconcile_runs.end()

    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", fails)
    monkeypatch.setattr("service.cli.reconcile.time.sleep", recovers)
    code, output, error = run("reconcile")
    assert (code, error) == (0, "the comparison waits: the registry cannot be reached\n")
    assert "1 repository with 3 tags compared" in output


def test_a_worker_that_dies_meanwhile_is_not_waited_for_without_end(
    run: Run, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.dispatch.Dispatch.reconcile", lambda _: wiring.store.reconcile_runs.begin())
    code, _, error = run("reconcile")
    assert (code, "no worker is running" in error) == (1, True)
