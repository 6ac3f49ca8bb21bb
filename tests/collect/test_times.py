"""The start of a collection: its hours, the time between two, manually at any time; the reason of a wait."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import now_ms
from service.collect import run as collect_run
from service.collect.times import next_run, too_early
from service.domain.collection.run import MANUAL, Run
from service.domain.collection.window import Hours
from service.domain.errors import ConfigurationError
from service.settings.gc import GcSettings
from service.store.connection import Connection
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last, messages_of
from tests.fakes.images import make_image, variant
from tests.support.collectors import QUIET, collector, shut
from tests.support.system import SHOP, Make
from workers.sweep import sweep


def results(wiring: Wiring) -> list[str]:
    return [run.result for run in wiring.store.collection_runs.latest()]


def test_outside_its_hours_it_is_put_off_and_that_is_recorded_once(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "window": shut()})
    wiring.store.collections.request_if_none("scheduled")
    for _ in range(3):
        collect_run.collect(wiring)
    (run,) = wiring.store.collection_runs.latest()
    assert (run.result, run.reason) == ("postponed", "scheduled")
    assert run.message.startswith("it may begin only within gc.window (")
    assert not (tmp_path / "dry").exists()
    waits = wiring.store.collections.wait()
    assert waits is not None
    assert (waits.message, waits.times) == (run.message, 3)
    assert not wiring.store.collections.overdue(), "it is asked for again only after a while"


def test_outside_its_hours_it_does_not_even_wait_for_quiet(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "window": shut(), "max_wait": 0})
    wiring.store.collections.request_if_none("scheduled")
    with wiring.store.leases.write():
        collect_run.collect(wiring)
    (run,) = wiring.store.collection_runs.latest()
    assert "gc.window" in run.message


def test_the_reason_of_a_postponed_collection_is_recorded_once_and_the_collection_tried_again(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "max_wait": 0})
    wiring.store.collections.request_if_none("scheduled")
    with wiring.store.leases.write():
        for _ in range(3):
            collect_run.collect(wiring)
    assert results(wiring) == ["postponed"]
    collect_run.collect(wiring)
    assert results(wiring) == ["done", "postponed"]


def test_a_postponed_collection_is_tried_when_its_hours_begin(make_wiring: MakeWiring, tmp_path: Path) -> None:
    gc = collector(tmp_path, QUIET)
    shut_wiring = make_wiring(gc={**gc, "window": shut()})
    shut_wiring.store.collections.request_if_none("scheduled")
    collect_run.collect(shut_wiring)
    wiring = make_wiring(gc={**gc, "window": "00:00-24:00"})
    collect_run.collect(wiring)
    assert results(wiring) == ["done", "postponed"]
    assert wiring.store.collections.wait() is None
    assert wiring.store.collections.requested() is None


def test_a_manual_collection_runs_at_any_time_and_the_record_says_so(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "window": shut(), "min_interval": "1d"})
    wiring.store.collection_runs.record(Run(now_ms(), now_ms(), "done", "scheduled"))
    wiring.store.collections.request(MANUAL)
    collect_run.collect(wiring)
    (run, _) = wiring.store.collection_runs.latest()
    assert run.result == "done"
    assert "gc.window and gc.min_interval did not apply" in run.note


def test_the_next_collection_waits_for_the_interval_after_the_last_successful_one(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "min_interval": "1h"})
    wiring.store.collection_runs.record(Run(now_ms(), now_ms(), "failed", "scheduled", message="boom"))
    wiring.store.collections.request_if_none("scheduled")
    collect_run.collect(wiring)
    assert results(wiring)[0] == "done", "one that failed does not count"
    wiring.store.collections.request_if_none("scheduled")
    collect_run.collect(wiring)
    (run, *_) = wiring.store.collection_runs.latest()
    assert (run.result, run.message) == ("postponed", "the last one ended less than gc.min_interval (1h) ago")


def test_a_collection_that_a_user_requested_is_not_lost_to_a_schedule(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    wiring.store.collections.request(MANUAL)
    wiring.store.collections.request_if_none("scheduled")
    assert wiring.store.collections.requested() == MANUAL


def test_the_same_reason_to_wait_is_recorded_once_and_another_one_too(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    for message in ("deletes", "pushes", "deletes", "pushes"):
        wiring.store.collection_runs.record(Run(1, 2, "postponed", "scheduled", message=message), once=True)
    assert [run.message for run in wiring.store.collection_runs.latest()] == ["pushes", "deletes"]
    wiring.store.collections.request(MANUAL)
    wiring.store.collection_runs.record(Run(3, 4, "postponed", MANUAL, message="deletes"), once=True)
    assert [run.reason for run in wiring.store.collection_runs.latest()] == [MANUAL, "scheduled", "scheduled"]


def test_a_run_that_redis_hears_twice_is_recorded_once(
    make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_wiring().store.collection_runs
    real = Connection.script

    def script(self: Connection, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        real(self, name, keys, args)
        return real(self, name, keys, args)

    monkeypatch.setattr(Connection, "script", script)
    for ended_ms in (2, 3):
        assert runs.record(Run(1, ended_ms, "done", MANUAL, blobs=5))
    assert [run.ended_ms for run in runs.latest()] == [3, 2]
    assert (runs.totals().runs, runs.totals().blobs) == ({"done": 2}, 10)


def test_the_reason_that_postpones_the_next_collection_is_recorded_again(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    for _ in range(2):
        wiring.store.collections.request_if_none("scheduled")
        wiring.store.collection_runs.record(Run(1, 2, "postponed", "scheduled", message="deletes"), once=True)
        wiring.store.collections.collected("scheduled", (0, 0))
    assert len(wiring.store.collection_runs.latest()) == 2


def test_a_sum_of_bytes_makes_it_due(make_system: Make, tmp_path: Path) -> None:
    """Only blobs that no other image of the repository has are counted."""
    gc = {**collector(tmp_path, QUIET), "after_deletes": None, "after_bytes": 25_000}
    system = make_system(keep_last(1), fake={"references": True}, gc=gc)
    for number in range(3):
        system.registry.push(SHOP, f"v{number}", make_image(number, layer_bytes=10_000))
    system.settle()
    assert len(system.tags()) == 1
    assert system.store.collections.requested() is None
    deletes, size_bytes = system.store.collections.deletions_so_far()
    assert deletes == 2
    assert 20_000 < size_bytes < 25_000
    system.registry.push(SHOP, "v3", make_image(3, layer_bytes=10_000))
    system.settle()
    assert system.store.collections.requested() == "0.0 MB deleted since the last collection"


def test_layers_that_another_image_needs_do_not_count(make_system: Make, tmp_path: Path) -> None:
    gc = {**collector(tmp_path, QUIET), "after_deletes": None, "after_bytes": 1000}
    system = make_system(keep_last(1), fake={"references": True}, gc=gc)
    image = make_image("shared", layer_bytes=10_000)
    for number in range(3):
        system.registry.push(SHOP, f"v{number}", variant(image, number))
    system.settle()
    assert system.store.collections.deletions_so_far() == (2, 0)


def test_the_deletions_that_a_collection_covers_are_subtracted_and_later_ones_still_count(
    make_wiring: MakeWiring,
) -> None:
    wiring = make_wiring()
    client, of = wiring.store.connection.client, wiring.store.connection.keys.of
    client.mset({of("gc:deletes"): 7, of("gc:bytes"): 10_000_000_000})
    covered = wiring.store.collections.deletions_so_far()
    client.incrby(of("gc:bytes"), 5)
    wiring.store.collections.collected("scheduled", covered)
    assert wiring.store.collections.deletions_so_far() == (0, 5)


def test_the_next_one_by_the_schedule_comes_when_the_window_is_open() -> None:
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    assert next_run(GcSettings(), now) is None
    assert next_run(GcSettings(schedule="0 3 * * *"), now) == datetime(2026, 5, 2, 3, 0, tzinfo=UTC)
    gc = GcSettings(schedule="0 3 * * *", window=(Hours(240, 300),))
    assert next_run(gc, now) == datetime(2026, 5, 2, 4, 0, tzinfo=UTC)


def test_the_interval_is_over_when_it_is_over() -> None:
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    gc, ended = GcSettings(min_interval=60), round((now - timedelta(seconds=60)).timestamp() * 1000)
    assert too_early(gc, now, ended) is None
    assert too_early(gc, now, ended + 1) is not None
    assert too_early(gc, now, None) is None


def test_the_sweep_of_the_outbox_asks_for_a_dry_run_too(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.collections.request_rehearsal("a dry run requested manually")
    sweep(wiring)
    assert messages_of(wiring).sent == [("collect",)]


def test_a_dry_run_sweeps_nothing_ends_no_undo_and_says_what_it_would(make_system: Make, tmp_path: Path) -> None:
    marked = 'for line in open(folder / "out"): print(line, end="")\n(folder / ("dry" if dry else "swept")).touch()'
    system = make_system(keep_last(1), gc=collector(tmp_path, marked))
    system.push("v1", "v2")
    v1 = system.registry.tags(SHOP)["v1"]
    config = system.registry.storage.manifest(SHOP, v1)
    system.settle()
    kept = system.store.trash.get(SHOP, v1)
    assert kept is not None
    (tmp_path / "out").write_text(
        f"{SHOP}: marking manifest {system.registry.tags(SHOP)['v2']} \n\n3 blobs marked, 2 blobs and 0 manifests "
        f"eligible for deletion\nblob eligible for deletion: {v1}\nblob eligible for deletion: sha256:{'c' * 64}\n"
    )
    system.store.collections.request_rehearsal("a dry run requested manually")
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, run.blobs, run.bytes_freed, run.unsized) == ("dry run", 2, len(config.content), 1)
    rehearsal = system.store.collections.rehearsal()
    assert rehearsal is not None
    assert dict(rehearsal.blobs) == {v1: len(config.content), f"sha256:{'c' * 64}": None}
    assert not (tmp_path / "swept").exists()
    assert system.store.trash.get(SHOP, v1) is not None
    assert system.store.collections.rehearsal_requested() is None


def test_a_dry_run_that_fails_is_recorded_and_not_made_for_ever(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, "print('boom'); sys.exit(1)"))
    wiring.store.collections.request_rehearsal("a dry run requested manually")
    collect_run.collect(wiring)
    (run,) = wiring.store.collection_runs.latest()
    assert (run.result, "boom" in run.message) == ("failed", True)
    assert wiring.store.collections.rehearsal_requested() is None


def test_a_dry_run_says_that_the_sweep_would_be_refused(make_system: Make, tmp_path: Path) -> None:
    system = make_system(keep_last(5), gc=collector(tmp_path, QUIET))
    system.push("v1")
    system.settle()
    system.store.collections.request_rehearsal("a dry run requested manually")
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, "did not mark shop/api:v1" in run.message) == ("failed", True)
    assert system.store.collections.rehearsal_requested() is None


@pytest.mark.parametrize("kept", ["before", "after"])
def test_readonly_needs_both_commands(make_wiring: MakeWiring, kept: str) -> None:
    with pytest.raises(ConfigurationError, match=r"gc\.gate: readonly needs gc\.before and gc\.after"):
        make_wiring(gc={"gate": "readonly", kept: "true"})


def test_without_a_gate_it_waits_until_no_push_is_reported(make_system: Make, tmp_path: Path) -> None:
    """A client that pushes all the time postpones the collection."""
    gc: dict[str, Any] = {**collector(tmp_path, QUIET), "settle": 1, "max_wait": 0}
    wiring = make_system(keep_last(5), gc=gc).wiring
    wiring.store.collections.request_if_none("scheduled")
    collect_run.collect(wiring)
    (run,) = wiring.store.collection_runs.latest()
    assert (run.result, run.message) == ("postponed", "pushes did not end in time")


def test_the_record_says_what_is_not_protected_without_a_gate(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, "pass"))
    wiring.store.collections.request(MANUAL)
    collect_run.collect(wiring)
    (run, *_) = wiring.store.collection_runs.latest()
    assert run.gate == "none"
    assert run.note.startswith("pushes were not blocked (gc.gate: none): ")


def test_postponed_attempts_of_one_collection_do_not_fill_the_record(make_wiring: Callable[..., Any]) -> None:
    """Sentences name repositories and digests: each may be another one."""
    wiring = make_wiring()
    wiring.store.collections.request_if_none("scheduled")
    for number in range(200):
        run = Run(number, number, "postponed", "scheduled", message=f"pushes to shop/{number} did not end in time")
        wiring.store.collection_runs.record(run, once=True)
    assert len(wiring.store.collection_runs.latest(1000)) <= 60
    assert wiring.store.connection.client.hlen(wiring.store.connection.keys.of("gc:waiting")) <= 60
    assert wiring.store.collections.wait().message == "pushes to shop/199 did not end in time"
