"""A walk compares every repository with the registry, once, in peace, and from where a killed worker left off."""

from dataclasses import replace
from typing import Any, cast

import pytest
import requests

from service.domain.errors import RegistryUnavailable
from service.domain.history import reconciliation
from service.reconcile import compare as reconcile_compare
from service.reconcile import run as reconcile_run
from service.registry.debug import Start
from service.store.reconcile_runs import ReconcileRuns
from tests.conftest import keep_last
from tests.support.system import Make, System
from workers.sweep import sweep

QUICKLY = {"reconcile": {"rate": 100_000}}


@pytest.fixture(autouse=True)
def long_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make slices long: on a busy machine none may end before the tested event."""
    monkeypatch.setattr(reconcile_run, "SLICE_S", 600.0)


def unheard(system: System, *names: str) -> None:
    """Push REPOSITORY:TAG each, while no notification is received."""
    system.deaf = True
    for name in names:
        repository, _, tag = name.partition(":")
        system.push(tag, repository=repository)
    system.deaf = False
    system.missed.clear()


def finish(system: System) -> reconciliation.ReconcileResult:
    for _ in range(100):
        reconcile_run.continue_run(system.wiring)
        client = system.store.connection.client
        client.delete(system.store.connection.keys.of("reconcile:pause"))
        if system.store.reconcile_runs.current() is None:
            break
    last = system.store.reconcile_runs.last()
    assert last is not None
    return last


def known(system: System, repository: str) -> set[str]:
    return {tag.name for tag in system.store.history.live(repository)}


def test_the_first_sweep_requests_a_comparison_of_all_repositories(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/api:v1", "shop/api:v2", "shop/web:v1")
    sweep(system.wiring)
    assert (system.messages.walks, system.store.reconcile_runs.requested()) == (1, reconciliation.FIRST_START)
    last = finish(system)
    assert (last.repositories, last.tags, last.changed, last.failed) == (2, 3, 3, 0)
    assert known(system, "shop/api") == {"v1", "v2"}
    assert known(system, "shop/web") == {"v1"}


def test_known_tags_cost_one_request_without_a_notification(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, *(f"shop/{name}:v{number}" for name in "ab" for number in range(5)))
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    finish(system)
    before, counters = len(system.registry.requests), system.store.outbox.counters()
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    assert finish(system).changed == 0
    assert len(system.registry.requests) - before == 10 + 2 + 1  # a HEAD per tag, a listing each, a page of the catalog
    assert system.store.outbox.counters() == counters


def test_after_a_restart_what_was_compared_since_is_not_compared_again(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    system.push("v1", repository="shop/api")
    system.push("v1", repository="shop/web")
    system.store.reconcile_runs.request(reconciliation.FIRST_START)
    finish(system)
    system.registry.notifier.instance = "another"
    unheard(system, "shop/api:lost")
    system.push("v2", repository="shop/web")
    reconcile_compare.compare(system.store, system.wiring.registry, system.store.history.snapshot("shop/web"))
    client = system.store.connection.client
    client.delete(system.store.connection.keys.of("lease", "walk"))
    sweep(system.wiring)
    assert system.store.reconcile_runs.requested() == reconciliation.REGISTRY_RESTARTED
    before = len(system.registry.requests)
    assert finish(system).changed == 1
    assert known(system, "shop/api") == {"v1", "lost"}
    paths = [request.path for request in system.registry.requests[before:]]
    assert not any("shop/web" in path for path in paths)


def test_a_killed_worker_costs_the_repository_it_was_at(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, *(f"shop/{name}:v1" for name in "abcd"))
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    compare, done = reconcile_compare.compare, [0]

    def dies(*arguments: Any, **more: Any) -> object:
        if done[0] == 2:
            raise KeyboardInterrupt
        done[0] += 1
        return compare(*arguments, **more)

    monkeypatch.setattr(reconcile_compare, "compare", dies)
    with pytest.raises(KeyboardInterrupt):
        reconcile_run.continue_run(system.wiring)
    monkeypatch.setattr(reconcile_compare, "compare", compare)
    under = system.store.reconcile_runs.current()
    assert under is not None
    assert (under.repositories, under.todo, under.listed) == (2, 2, True)
    before = len(system.registry.requests)
    assert finish(system).repositories == 4
    assert len(system.registry.requests) - before == 2 * 2


def test_a_repository_that_fails_comes_again_and_is_reported_in_the_end(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/a:v1", "shop/b:v1")
    system.registry.fail_next("GET", "shop/a/tags", status=500, times=None)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    last = finish(system)
    assert (last.repositories, last.failed) == (1, 1)
    assert last.message.startswith("shop/a: ")
    assert [trouble.about for trouble in system.store.outbox.troubles()] == ["reconcile"]
    assert not system.store.history.snapshot("shop/a").compared


class Debug:
    """A stand-in for a registry's debug server, which says when it was started, or does not answer."""

    def __init__(self) -> None:
        self.said: str | None = None

    def starts(self) -> tuple[Start, ...]:
        if self.said is None:
            raise RegistryUnavailable("it does not answer")
        return (Start(self.said, 0),)


def test_a_restart_of_which_only_the_debug_server_tells_wants_everything_compared(make_system: Make) -> None:
    system, debug = make_system(keep_last(9), **QUICKLY), Debug()
    wiring = replace(system.wiring, registry=replace(system.wiring.registry, debug=cast(Any, debug)))
    client: Any = wiring.store.connection.client

    def sweep_while(sentence: str | None) -> str | None:
        debug.said = sentence
        for name in ("walk", "started"):
            client.delete(wiring.store.connection.keys.of("lease", name))
        sweep(wiring)
        return wiring.store.reconcile_runs.requested()

    assert sweep_while("1e9") == reconciliation.FIRST_START
    finish(system)
    assert sweep_while(None) is None, "a server that does not answer has not restarted for that"
    assert sweep_while("1e9") is None
    assert sweep_while("2e9") == reconciliation.REGISTRY_RESTARTED


def test_an_empty_catalog_changes_nothing(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    system.push("v1", repository="shop/api")
    empty: dict[str, Any] = {"body": b'{"repositories": []}', "headers": {"Content-Type": "application/json"}}
    system.registry.fail_next("GET", "_catalog", status=200, **empty)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    reconcile_run.continue_run(system.wiring)
    assert known(system, "shop/api") == {"v1"}
    (trouble,) = system.store.outbox.troubles()
    assert "lists no repository at all, and 1 with tags" in trouble.message


def test_without_a_catalog_the_known_and_the_named_repositories_are_compared(make_system: Make) -> None:
    system = make_system(keep_last(9), reconcile={"rate": 100_000, "repositories": ["shop/named"]})
    system.push("v1", repository="shop/heard")
    unheard(system, "shop/named:v1", "shop/never:v1")
    system.registry.fail_next("GET", "_catalog", status=403, times=None)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    last = finish(system)
    assert last.repositories == 2
    assert "does not list its repositories" in last.catalog
    assert system.store.outbox.troubles() == (), "reconcile.repositories names them"
    assert (known(system, "shop/named"), known(system, "shop/never")) == ({"v1"}, set())


def test_a_catalog_that_fails_for_good_keeps_nothing_from_being_compared(make_system: Make) -> None:
    """A large registry on an object store may never read its catalog in time."""
    system = make_system(keep_last(9), **QUICKLY)
    system.push("v1", repository="shop/heard")
    unheard(system, "shop/heard:v2", "shop/asked:v1")
    system.registry.fail_next("GET", "_catalog", status=504, times=None)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    reconcile_run.continue_run(system.wiring)
    under = system.store.reconcile_runs.current()
    assert under is not None
    assert "504" in under.message
    assert not under.listed
    system.store.reconcile_runs.request_repositories(["shop/asked"], reconciliation.MANUAL)
    reconcile_run.continue_run(system.wiring)
    assert known(system, "shop/asked") == {"v1"}, "it was named: no catalog is needed"
    last = finish(system)
    assert "does not list its repositories" in last.catalog
    assert known(system, "shop/heard") == {"v1", "v2"}


def test_a_catalog_that_cannot_be_read_is_a_trouble_until_it_can(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/never:v1")
    system.registry.fail_next("GET", "_catalog", status=403)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    finish(system)
    (trouble,) = system.store.outbox.troubles()
    assert "does not list its repositories" in trouble.message
    assert "reconcile.repositories" in trouble.message
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    assert finish(system).catalog == ""
    assert known(system, "shop/never") == {"v1"}
    assert system.store.outbox.troubles() == ()


def test_a_catalog_in_smaller_pages_than_ours_is_read_whole(make_system: Make) -> None:
    system = make_system(keep_last(9), fake={"max_entries": 3}, **QUICKLY)
    names = {f"shop/r{number}" for number in range(8)}
    unheard(system, *(f"{name}:v1" for name in names))
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    last = finish(system)
    assert (last.catalog, last.repositories) == ("", 8)
    assert names <= set(system.store.history.repositories())


def test_a_page_of_the_catalog_that_fails_is_read_again_and_none_before_it(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("service.registry.client", "service.reconcile.run"):
        monkeypatch.setattr(f"{module}.CATALOG_PAGE", 2)
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, *(f"shop/{name}:v1" for name in "abcde"))
    system.registry.fail_next("GET", "_catalog.*last=shop/d", status=500, times=2)
    system.registry.fail_next("GET", "_catalog.*last=shop%2Fd", status=500, times=2)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    last = finish(system)
    assert (last.repositories, last.catalog) == (5, "")
    pages = [request.path for request in system.registry.requests if "_catalog" in request.path]
    assert sum("last" not in page for page in pages) == 1
    assert len(pages) == 5, pages


def test_a_registry_that_does_not_answer_is_waited_for(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/api:v1")
    system.registry.fail_next("*", status=503, times=30)
    system.store.reconcile_runs.request(reconciliation.FIRST_START)
    assert not finish(system).catalog, "it was not taken for one without a catalog"
    assert known(system, "shop/api") == {"v1"}


def test_a_fault_in_one_repository_is_reported_and_keeps_no_other_from_being_compared(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/api:v1", "shop/web:v1")
    compare = reconcile_compare.compare

    def failing(store: Any, registry: Any, snapshot: Any, *more: Any, **named: Any) -> Any:
        if snapshot.repository == "shop/api":
            raise ZeroDivisionError
        return compare(store, registry, snapshot, *more, **named)

    monkeypatch.setattr(reconcile_compare, "compare", failing)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    assert finish(system).failed == 1
    assert known(system, "shop/web") == {"v1"}
    (trouble,) = system.store.outbox.troubles()
    assert "shop/api: this is a fault in pushprune: ZeroDivisionError()" in trouble.message


def test_a_reconcile_run_of_another_worker_is_left_to_it(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/api:v1")
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    with system.store.leases.hold("reconcile"):
        reconcile_run.continue_run(system.wiring)
    assert system.store.reconcile_runs.last() is None
    assert not known(system, "shop/api")


def test_repositories_that_are_asked_for_come_first_and_alone_where_nothing_is_under_way(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    unheard(system, "shop/api:v1", "shop/web:v1")
    walks: ReconcileRuns = system.store.reconcile_runs
    walks.request_repositories(["shop/web"], reconciliation.MANUAL)
    assert walks.waiting(["shop/web", "shop/api"]) == ("shop/web",)
    last = finish(system)
    assert (last.whole, last.repositories) == (False, 1)
    assert walks.waiting(["shop/web"]) == ()
    assert (known(system, "shop/web"), known(system, "shop/api")) == ({"v1"}, set())
    assert walks.last_epoch() is None


def test_a_push_while_a_repository_is_compared_is_not_undone_by_the_look(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    system.push("v1", "v2", repository="shop/api")
    system.registry.after("GET", "tags/list", lambda: system.push("v3", repository="shop/api"))
    system.registry.after("HEAD", "manifests/v1", lambda: system.registry.push_image("shop/api", "v1", seed="newer"))
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    finish(system)
    assert {tag.name: tag.digest for tag in system.store.history.live("shop/api")} == system.registry.tags("shop/api")
    assert known(system, "shop/api") == {"v1", "v2", "v3"}


def test_vanished_repositories_are_dropped_from_the_live_tags(make_system: Make) -> None:
    system = make_system(keep_last(9), **QUICKLY)
    system.push("v1", repository="shop/web")
    system.push("v1", repository="shop/api")
    system.deaf = True
    requests.delete(f"{system.registry.url}/v2/shop/api/manifests/{system.registry.tags('shop/api')['v1']}", timeout=60)
    system.deaf = False
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    assert finish(system).changed == 1
    assert known(system, "shop/api") == set()
    assert "no longer at the registry" in system.reasons("vanished", "shop/api")["v1"]
