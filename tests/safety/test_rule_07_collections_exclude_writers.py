"""Safety rule 7: a collection excludes all other writers, and its collector is proved dead before they may write."""

import threading
from pathlib import Path

import pytest

from service.collect import quiesce, reopening
from service.collect import run as collect_run
from service.domain.collection.gate import WriteRequest
from service.prune import deleting
from service.store.lease import COLLECT, Leases
from tests.conftest import MakeWiring, keep_last
from tests.support.collectors import QUIET, WAITS, collector
from tests.support.drain import ANN, collect, collecting, state
from tests.support.gate import earlier
from tests.support.system import SHOP, Make, doomed_system
from tests.support.waiting import until


def test_nothing_is_deleted_while_a_collection_holds_the_registry(make_system: Make) -> None:
    system = doomed_system(make_system)
    with system.store.leases.hold(COLLECT) as lease:
        assert lease is not None
        deleting.delete(system.wiring, "shop/api")
        assert system.tags() == {"v1", "v2"}
        assert len(system.store.history.doomed("shop/api")) == 1
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v2"}


@pytest.mark.slow
def test_a_collection_waits_for_deletes_under_way(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.collections.request("by hand")
    with wiring.store.leases.write() as permit:
        assert permit is not None
        thread = threading.Thread(target=collect_run.collect, args=(wiring,))
        thread.start()
        until(wiring.store.leases.collecting)
        assert not (tmp_path / "dry").exists()
    thread.join()
    assert (tmp_path / "swept").exists()


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.slow
def test_the_collector_is_killed_when_the_lease_is_lost(make_wiring: MakeWiring, tmp_path: Path) -> None:
    body = "(folder / 'pid').write_text(str(os.getpid()))\ntime.sleep(600)"
    wiring = make_wiring(gc=collector(tmp_path, body))
    wiring.store.collections.request("by hand")
    thread = threading.Thread(target=collect_run.collect, args=(wiring,))
    thread.start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    wiring.store.connection.client.set(wiring.store.connection.keys.of("lease", COLLECT), "another")
    thread.join(240)
    assert not thread.is_alive()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    assert wiring.store.collection_runs.latest()[0].result == "failed"
    wiring.store.connection.client.delete(wiring.store.connection.keys.of("lease", COLLECT))


@pytest.mark.slow
def test_a_kept_manifest_that_is_not_marked_stops_the_sweep(make_system: Make, tmp_path: Path) -> None:
    system = make_system(keep_last(5), gc=collector(tmp_path, QUIET))
    system.push("v1")
    system.settle()
    system.store.collections.request("by hand")
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert run.result == "failed"
    assert "did not mark shop/api:v1" in run.message
    assert not (tmp_path / "swept").exists()


SWEPT = "sha256:" + "a" * 64


@pytest.mark.slow
def test_the_gate_is_closed_while_the_collector_runs_and_open_after_it(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, WAITS))
    with collecting(wiring, tmp_path):
        assert state(wiring) == "closed"
    assert wiring.store.collection_runs.latest()[0].result == "done"
    assert state(wiring) == "open"


@pytest.mark.slow
def test_a_blob_that_a_push_may_need_is_not_deleted(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.gate.admit(WriteRequest("uploads", SHOP, SWEPT), ANN)
    earlier(wiring.store.connection, "pushing", 60)
    run = collect(wiring)
    assert run.result == "postponed"
    why = f"a push to {SHOP} may need {SWEPT}, which would be deleted"
    assert run.message == f"{why} (it could not be held: nothing can be pushed to this registry)"
    assert (tmp_path / "dry").exists()
    assert not (tmp_path / "swept").exists()
    assert not wiring.store.collections.overdue(), "it is tried again only after a while"


@pytest.mark.slow
def test_our_deletes_wait_while_the_gate_is_not_open_although_its_lease_has_ended(make_wiring: MakeWiring) -> None:
    """The holder of the gate may only be paused, and its collector may still run."""
    wiring = make_wiring()
    wiring.store.gate.drain("t1", 1, "x")
    with wiring.store.leases.write() as permit:
        assert permit is None
    wiring.store.gate.open("t1")
    with wiring.store.leases.write() as permit:
        assert permit is not None


@pytest.mark.slow
def test_the_gate_of_a_holder_that_lives_is_not_opened(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    assert wiring.registry.collector is not None
    with wiring.registry.collector.claimed("paused"):
        wiring.store.gate.drain("paused", 1, "x")
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
        assert state(wiring) == "draining"


@pytest.mark.slow
@pytest.mark.slow
def test_the_gate_stays_closed_while_anything_that_the_collector_started_lives(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "_PROOF_S", 0.1)
    body = """
        if not dry and os.fork() == 0:
            os.setsid()
            (folder / "stray").write_text(str(os.getpid()))
            while not (folder / "end").exists(): time.sleep(0.01)
            os._exit(0)
        while not dry and not (folder / "stray").exists(): time.sleep(0.01)
        os._exit(0)
    """
    wiring = make_wiring(gc={**collector(tmp_path, body), "timeout": 3})
    collect(wiring)
    reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == "closed"
    (tmp_path / "end").touch()

    def is_open() -> bool:
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
        return state(wiring) == "open"

    until(is_open)


def test_a_second_holder_is_refused_until_the_first_releases_the_lease(leases: Leases) -> None:
    with leases.hold("x") as first:
        assert first is not None
        with leases.hold("x") as second:
            assert second is None
    with leases.hold("x") as third:
        assert third is not None
        assert third.fence > first.fence


def test_no_write_begins_while_a_collection_holds_the_registry(leases: Leases) -> None:
    with leases.hold(COLLECT) as collect:
        assert collect is not None
        with leases.write() as permit:
            assert permit is None
    with leases.write() as permit:
        assert permit is not None
