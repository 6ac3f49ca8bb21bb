"""Collecting: when it is wanted, never two at once, never beside deletes, and only when all that is kept is marked."""

import threading
from pathlib import Path
from typing import Any

import pytest

from service.collect import quiesce, registry_collection
from service.collect import run as collect_run
from service.domain.collection.output import lines_of
from service.domain.errors import RegistryUnavailable
from service.prune import deleting
from service.registry.collector_report import Report
from service.store.lease import COLLECT
from service.store.outbox import Outbox
from tests.conftest import MakeWiring, keep_last
from tests.support.collectors import QUIET, collector
from tests.support.drain import collect
from tests.support.system import SHOP, Make, doomed_system
from tests.support.waiting import until
from workers import tasks
from workers.sweep import sweep

pytestmark = pytest.mark.slow


def test_a_collection_becomes_due_by_the_number_of_deletes(make_system: Make, tmp_path: Path) -> None:
    system = make_system(keep_last(1), gc=collector(tmp_path, QUIET))
    system.push("v1", "v2", "v3")
    system.settle()
    assert system.store.collections.requested() is None
    system.push("v4")
    system.settle()
    assert system.store.collections.requested() == "3 digests deleted since the last collection"


def test_the_output_of_the_collector_is_kept_with_its_run(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    run = collect(wiring)
    printed = [
        "0 blobs marked, 2 blobs and 0 manifests eligible for deletion",
        *(f"blob eligible for deletion: sha256:{letter * 64}" for letter in "ab"),
        "exit code 0",
    ]  # fmt: skip
    assert lines_of(wiring.store.collection_runs.log(run.started_ms) or b"") == [
        "$ gc.command --dry-run",
        *printed,
        "$ gc.command",
        *printed,
    ]


def test_the_output_of_a_collector_that_failed_is_kept(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, "print('no such volume'); sys.exit(3)"))
    run = collect(wiring)
    printed = ["$ gc.command --dry-run", "no such volume", "exit code 3"]
    assert lines_of(wiring.store.collection_runs.log(run.started_ms) or b"") == printed
    collect_run.collect(wiring)
    (run, *_) = wiring.store.collection_runs.latest()
    assert lines_of(wiring.store.collection_runs.log(run.started_ms) or b"") == printed


def test_logs_are_kept_within_a_number_and_a_total_size(make_wiring: MakeWiring) -> None:
    runs, connection = make_wiring().store.collection_runs, make_wiring().store.connection
    for started_ms in (3, 20, 100):
        runs.keep_log(started_ms, b"x" * 300)
    assert [runs.log(started_ms) for started_ms in (3, 20, 100)] == [b"x" * 300] * 3
    assert connection.run("keep_log", started_ms=101, log="y" * 100, logs=2, most_bytes=10_000) == 2
    assert [runs.log(started_ms) is None for started_ms in (3, 20, 100)] == [True, True, False]
    assert connection.run("keep_log", started_ms=102, log="z" * 999, logs=9, most_bytes=500) == 1


def test_a_run_is_recorded_with_its_result_and_the_want_is_over(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    collect(wiring)
    (run,) = wiring.store.collection_runs.latest()
    assert (run.result, run.reason, run.exit_code, run.blobs) == ("done", "by hand", 0, 2)
    assert wiring.store.collections.requested() is None
    assert (tmp_path / "swept").exists()


def test_a_collection_that_is_cancelled_before_it_sweeps_makes_nothing_permanent(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.collections.request("by hand")

    def cancelled(*_: Any) -> dict[str, int | None]:
        wiring.store.collections.cancel()
        return {}

    monkeypatch.setattr(registry_collection, "sizes_of", cancelled)
    collect_run.collect(wiring)
    (run,) = wiring.store.collection_runs.latest()
    assert (run.result, run.message, run.final) == ("postponed", "it was cancelled before anything was deleted", 0)
    assert not (tmp_path / "swept").exists()


def test_deletes_that_came_during_a_run_still_count_for_the_next(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    key = wiring.store.connection.keys.of("gc:deletes")
    wiring.store.connection.client.set(key, 5)
    wiring.store.collections.request("by hand")
    collect_after = wiring.store.collections.deletions_so_far()
    wiring.store.connection.client.incrby(key, 2)
    wiring.store.collections.collected("by hand", collect_after)
    assert wiring.store.connection.client.get(key) == "2"


def test_a_failing_collector_is_recorded_reported_and_run_again(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, "print('failed to mark: boom'); sys.exit(1)"))
    run = collect(wiring)
    assert run.result == "failed"
    assert "exit code 1: failed to mark: boom" in run.message
    assert wiring.store.collections.requested() == "by hand"
    assert "boom" in wiring.store.outbox.troubles()[0].message


def test_a_store_where_nothing_was_pushed_yet_is_no_failure(make_wiring: MakeWiring, tmp_path: Path) -> None:
    message = "filesystem: Path not found: /docker/registry/v2/repositories"
    wiring = make_wiring(gc=collector(tmp_path, f"print('failed to mark: {message}'); sys.exit(1)"))
    assert collect(wiring).result == "done"


def test_a_collection_is_postponed_while_deletes_do_not_end(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "max_wait": 0})
    wiring.store.collections.request("by hand")
    with wiring.store.leases.write():
        collect_run.collect(wiring)
    assert wiring.store.collection_runs.latest()[0].result == "postponed"
    assert wiring.store.collections.requested() == "by hand"
    assert not (tmp_path / "dry").exists()


def test_a_second_collection_does_not_begin(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.collections.request("by hand")
    with wiring.store.leases.hold(COLLECT):
        collect_run.collect(wiring)
    assert wiring.store.collection_runs.latest() == ()
    assert not (tmp_path / "dry").exists()


def test_a_collector_that_still_runs_on_this_host_is_not_joined_by_another(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    """The kernel lock, not the lease, tells of an orphan."""
    body = "(folder / f'began-{os.getpid()}').touch()\nwhile not (folder / 'go').exists(): time.sleep(0.01)\n"
    wiring = make_wiring(gc=collector(tmp_path, body))
    assert wiring.registry.collector is not None
    orphan = threading.Thread(target=wiring.registry.collector.run, args=(lambda: True,))
    orphan.start()
    until(lambda: bool(list(tmp_path.glob("began-*"))))
    second = threading.Thread(target=collect, args=(wiring,))
    second.start()
    until(lambda: bool(wiring.store.collection_runs.latest()) or len(list(tmp_path.glob("began-*"))) > 1)
    began = len(list(tmp_path.glob("began-*")))
    (tmp_path / "go").touch()
    orphan.join()
    second.join()
    assert began == 1
    assert "still runs on this host" in wiring.store.collection_runs.latest()[0].message


@pytest.mark.live
@pytest.mark.slow
def test_a_collector_takes_no_longer_than_its_timeout(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, "time.sleep(600)"), "timeout": 1})
    assert "gc.timeout" in collect(wiring).message


def test_a_request_without_gc_command_is_reported_to_the_operator(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    wiring.store.collections.request("by hand")
    collect_run.collect(wiring)
    assert "gc.command is not set" in wiring.store.outbox.troubles()[0].message


def test_a_collection_ends_the_undo_of_what_was_deleted_before_it(make_system: Make, tmp_path: Path) -> None:
    marked = """
        for line in open(folder / "marks"): print(line, end="")
    """
    system = make_system(keep_last(1), gc=collector(tmp_path, marked))
    system.push("v1", "v2")
    digest = system.registry.tags("shop/api")["v1"]
    system.settle()
    assert system.store.trash.get("shop/api", digest) is not None
    (tmp_path / "marks").write_text(f"shop/api: marking manifest {system.registry.tags('shop/api')['v2']} \n")
    assert collect(system.wiring).result == "done"
    assert system.store.trash.get("shop/api", digest) is None


def test_a_schedule_is_followed_once_for_each_time(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "schedule": "* * * * *"})
    sweep(wiring)
    assert wiring.store.collections.requested() is None
    wiring.store.collections.take_schedule(1)
    sweep(wiring)
    assert wiring.store.collections.requested() == "scheduled (* * * * *)"
    wiring.store.collections.collected("scheduled (* * * * *)", (0, 0))
    sweep(wiring)
    assert wiring.store.collections.requested() is None


@pytest.mark.parametrize("version", ["2.8.3", "3"])
def test_the_output_of_real_collectors_is_read(version: str) -> None:
    report = Report()
    for line in (Path(__file__).parents[1] / "data" / "gc-output" / f"distribution-{version}-plain.txt").open():
        report.read(line)
    assert report.marked == 37
    assert (report.blobs, report.manifests, len(report.eligible)) == (1, 0, 1)
    assert {repository for repository, _ in report.marks} == {"g/app", "g/dk", "g/multi"}
    assert len(report.marks) == 12


def test_a_collection_does_not_begin_right_after_a_delete(make_system: Make, tmp_path: Path) -> None:
    """A push that met the delete may not be reported yet, and needs blobs that the sweep would delete."""
    settings = {**collector(tmp_path, QUIET), "settle": 60, "max_wait": 0}
    system = make_system(keep_last(1), gc=settings)
    system.push("v1", "v2")
    system.settle()
    run = collect(system.wiring)
    assert (run.result, run.message) == ("postponed", "the last deletion by pushprune was less than gc.settle ago")
    assert not (tmp_path / "dry").exists()


def test_healing_comes_before_a_collection(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "_HEAL_S", 0.2)
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.deletions.request_healing("shop/api", ["v1"])
    assert collect(wiring).result == "postponed"
    assert not (tmp_path / "dry").exists()


def test_healing_does_not_wait_for_a_collection_that_waits_for_a_delete(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "_HEAL_S", 0.2)
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "max_wait": 600})
    with wiring.store.leases.write():
        thread = threading.Thread(target=collect, args=(wiring,))
        thread.start()
        until(wiring.store.leases.collecting)
        wiring.store.deletions.request_healing(SHOP, ["v1"])
        thread.join(240)
        assert not thread.is_alive()
    assert wiring.store.collection_runs.latest()[0].result == "postponed"


def test_a_push_stops_the_collector(make_system: Make, tmp_path: Path) -> None:
    body = "(folder / 'began').touch()\ntime.sleep(600)"
    system = make_system(keep_last(5), gc=collector(tmp_path, body))
    thread = threading.Thread(target=collect, args=(system.wiring,))
    thread.start()
    until(lambda: (tmp_path / "began").exists())
    system.push("v1")
    thread.join(240)
    assert not thread.is_alive()
    (run,) = system.store.collection_runs.latest()
    assert (run.result, run.message) == (
        "postponed",
        "an image was pushed meanwhile; the collection is tried again later",
    )
    assert system.store.collections.requested() == "by hand"


def test_a_delete_that_was_not_answered_may_be_at_work_and_keeps_collections_away(
    make_system: Make, tmp_path: Path
) -> None:
    system = doomed_system(make_system, gc={**collector(tmp_path, QUIET), "max_wait": 0})
    system.registry.drop_connection("DELETE")
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    system.later()
    run = collect(system.wiring)
    assert (run.result, run.message) == ("postponed", "deletions by pushprune did not end in time")
    assert not (tmp_path / "dry").exists()


def test_a_delete_that_the_registry_answered_with_a_fault_has_ended_and_keeps_no_collection_away(
    make_system: Make,
) -> None:
    system = doomed_system(make_system)
    message = b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{}}]}'
    system.registry.fail_next("DELETE", status=500, body=message)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert system.store.leases.writers() == 0


@pytest.mark.live
@pytest.mark.slow
def test_a_redis_that_hangs_does_not_keep_a_collector_alive_whose_lease_is_lost(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is renewed every quarter of its life.
    monkeypatch.setattr(collect_run, "COLLECT_MS", 4000)
    body = "(folder / 'pid').write_text(str(os.getpid()))\ntime.sleep(600)"
    wiring = make_wiring(gc=collector(tmp_path, body))
    thread = threading.Thread(target=collect, args=(wiring,))
    asked, answered = threading.Event(), threading.Event()

    def hang(_outbox: Outbox) -> int:
        asked.set()
        answered.wait(60)
        return 0

    thread.start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    monkeypatch.setattr(Outbox, "pushes", hang)
    assert asked.wait(240)
    wiring.store.connection.client.set(wiring.store.connection.keys.of("lease", COLLECT), "another")
    thread.join(240)
    alive = thread.is_alive()
    answered.set()
    assert not alive
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    wiring.store.connection.client.delete(wiring.store.connection.keys.of("lease", COLLECT))


def test_a_failed_look_at_the_registry_is_recorded_and_reported(make_system: Make, tmp_path: Path) -> None:
    system = make_system(keep_last(5), gc=collector(tmp_path, QUIET))
    system.push("v1")
    system.settle()
    system.registry.fail_next("HEAD", status=403, times=None)
    system.store.collections.request("by hand")
    tasks.attempt_collection(system.wiring)
    (run,) = system.store.collection_runs.latest()
    (trouble,) = system.store.outbox.troubles()
    assert (run.result, run.message) == ("failed", trouble.message)
    assert system.store.collections.requested() == "by hand"
    assert not system.store.collections.overdue()
    assert not (tmp_path / "swept").exists()


def test_an_unexpected_error_is_recorded_and_not_repeated_at_once(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.collections.request("by hand")

    def fault(*_: Any) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(collect_run, "_attempt", fault)
    tasks.attempt_collection(wiring)
    (trouble,) = wiring.store.outbox.troubles()
    assert trouble.message.startswith("the collection failed by a fault in pushprune: KeyError('surprise'): report it")
    assert wiring.store.collections.requested() == "by hand"
    assert not wiring.store.collections.overdue()


def test_a_collection_that_is_wanted_during_a_run_is_still_wanted_after_it(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    body = "(folder / 'began').touch()\nwhile not (folder / 'go').exists(): time.sleep(0.01)\n"
    wiring = make_wiring(gc=collector(tmp_path, body))
    wiring.store.collections.request("scheduled")
    thread = threading.Thread(target=collect_run.collect, args=(wiring,))
    thread.start()
    until(lambda: (tmp_path / "began").exists())
    wiring.store.collections.request("by hand")
    (tmp_path / "go").touch()
    thread.join(240)
    (run,) = wiring.store.collection_runs.latest()
    assert (run.result, run.reason) == ("done", "scheduled")
    assert wiring.store.collections.requested() == "by hand"


@pytest.mark.parametrize(
    "totals", ["1 blobs marked, 2 blobs and 0", "0 blobs marked, 1 blobs and 0"], ids=["more goes", "less is kept"]
)
def test_a_sweep_is_stopped_that_is_not_what_was_rehearsed(
    make_wiring: MakeWiring, tmp_path: Path, totals: str
) -> None:
    """Exit 0 proves nothing: a repository may have lost its marks since the dry run (service/README.md)."""
    body = f"""
    print("1 blobs marked, 1 blobs and 0" if dry else "{totals}", "manifests eligible for deletion", flush=True)
    if not dry: time.sleep(60)
    print("blob eligible for deletion: sha256:" + "a" * 64)
    (folder / ("dry" if dry else "swept")).touch()
    """
    wiring = make_wiring(gc=collector(tmp_path, body))
    run = collect(wiring)
    assert run.result == "failed"
    assert run.message.startswith("it was stopped: it was about to delete ")
    assert not (tmp_path / "swept").exists()


def test_a_sweep_that_takes_what_was_not_rehearsed_has_failed(make_wiring: MakeWiring, tmp_path: Path) -> None:
    body = """
    print("1 blobs marked, 1 blobs and 0 manifests eligible for deletion")
    print("blob eligible for deletion: sha256:" + ("a" if dry else "b") * 64)
    """
    wiring = make_wiring(gc=collector(tmp_path, body))
    run = collect(wiring)
    assert (run.result, "which the dry run did not list" in run.message) == ("failed", True)
