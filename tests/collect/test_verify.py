"""Checks after a sweep: deleted blobs that the registry claims and broken pushes are alarms, even if a worker died."""

import threading
from pathlib import Path
from typing import Any

import pytest

from service.clock import now_ms
from service.collect import restarting, verify
from service.collect import run as collect_run
from service.collect.progress import Progress
from service.domain.collection.run import STALE, BlobProbe, Sweep
from tests.conftest import keep_last
from tests.fakes.images import Image, index_over, make_image, sha256
from tests.fakes.pusher import Pusher
from tests.support.collectors import collector, shut
from tests.support.system import SHOP, Make, System
from tests.support.waiting import until
from workers.sweep import sweep

pytestmark = pytest.mark.slow


SPEAKS = """
    (folder / f"{'dry' if dry else 'swept'}-{time.time_ns()}").touch()
    for line in open(folder / "out"): print(line, end="")
"""


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart that does not help is not waited for."""
    monkeypatch.setattr(restarting, "RESTART_S", 0.0)


def ran(folder: Path, what: str) -> int:
    return len(list(folder.glob(f"{what}-*")))


def after(folder: Path) -> list[str]:
    """A gc.after that only leaves a trace."""
    return ["sh", "-c", f"mktemp {folder}/restarted-XXXXXX"]


def garbage_of(make_system: Make, folder: Path, **gc: Any) -> tuple[System, str]:
    """Make a system whose collector sweeps the layer and config of the deleted v1. Returns one of these blobs, too."""
    system = make_system(keep_last(1), fake={"references": True}, gc={**collector(folder, SPEAKS), **gc})
    image = make_image("v1")
    system.registry.push(SHOP, "v1", image)
    v2 = system.registry.push_image(SHOP, "v2")
    system.settle()
    assert system.tags() == {"v2"}
    blobs = [sha256(blob) for blob in image.blobs]
    eligible = "".join(f"blob eligible for deletion: {blob}\n" for blob in blobs)
    (folder / "out").write_text(
        f"{SHOP}: marking manifest {v2} \n\n3 blobs marked, 2 blobs and 0 manifests eligible for deletion\n{eligible}"
    )
    system.store.collections.request_if_none("scheduled")
    return system, blobs[0]


def lie(system: System, *blobs: str) -> None:
    """The registry claims every blob, and has not got these."""
    system.registry.fail_next("HEAD", "/blobs/", status=200, times=None)
    for blob in blobs:
        system.registry.storage.blobs.pop(blob, None)


def lose(system: System, image: Image) -> None:
    for blob in image.blobs:
        del system.registry.storage.blobs[sha256(blob)]


def alarms(system: System) -> set[str]:
    return {trouble.about for trouble in system.store.outbox.troubles()}


def test_a_registry_that_knows_which_blobs_were_deleted_raises_no_alarm(make_system: Make, tmp_path: Path) -> None:
    system, blob = garbage_of(make_system, tmp_path, after=after(tmp_path))
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, run.final) == ("done", 1)
    assert alarms(system) == set()
    assert ran(tmp_path, "restarted") == 0
    asked = [request.path for request in system.registry.requests if request.method == "HEAD"]
    assert any(blob in path for path in asked), "it was asked for before, so that a cache would know it"


def test_probed_is_what_the_registry_claims_before_the_sweep(make_system: Make, tmp_path: Path) -> None:
    system, blob = garbage_of(make_system, tmp_path)
    assert BlobProbe(SHOP, blob) in verify.choose_probes(system.store, system.wiring.registry, [blob])
    del system.registry.storage.blobs[blob]
    assert verify.choose_probes(system.store, system.wiring.registry, [blob]) == ()


def test_a_registry_that_still_claims_a_deleted_blob_is_restarted_once_and_then_reported(
    make_system: Make, tmp_path: Path
) -> None:
    system, blob = garbage_of(make_system, tmp_path, after=after(tmp_path))
    lie(system, blob)
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert run.result == "failed"
    assert f"still claims to have {SHOP}@{blob}" in run.message
    assert "gc.after did not fix that" in run.message
    assert STALE in alarms(system)
    assert (ran(tmp_path, "swept"), ran(tmp_path, "restarted")) == (1, 1)
    assert system.store.collections.requested() == "scheduled"


def test_while_it_lies_nothing_more_is_collected_and_it_is_reported_once(make_system: Make, tmp_path: Path) -> None:
    system, blob = garbage_of(make_system, tmp_path, after=after(tmp_path))
    lie(system, blob)
    for _ in range(3):
        collect_run.collect(system.wiring)
    assert len(system.store.collection_runs.latest()) == 1
    assert (ran(tmp_path, "dry"), ran(tmp_path, "swept"), ran(tmp_path, "restarted")) == (1, 1, 1)


def test_the_alarm_ends_once_the_registry_denies_deleted_blobs(make_system: Make, tmp_path: Path) -> None:
    system, blob = garbage_of(make_system, tmp_path)
    lie(system, blob)
    collect_run.collect(system.wiring)
    assert STALE in alarms(system)
    system.registry.faults.clear()
    collect_run.collect(system.wiring)
    assert [run.result for run in system.store.collection_runs.latest()] == ["done", "failed"]
    assert alarms(system) == set()
    assert system.store.collections.open_check() is None


def test_a_blob_that_was_pushed_again_is_no_failure_of_the_collection(make_system: Make, tmp_path: Path) -> None:
    system, _ = garbage_of(make_system, tmp_path)
    collect_run.collect(system.wiring)  # the fake keeps its blobs: as if a user had pushed them again
    assert system.store.collection_runs.latest()[0].result == "done"


def test_the_checks_of_a_worker_that_died_after_its_sweep_come_before_anything_else(
    make_system: Make, tmp_path: Path
) -> None:
    system, blob = garbage_of(make_system, tmp_path)
    lie(system, blob)
    system.store.collections.request_if_none("by hand")
    assert system.store.collections.begin_check(Sweep(now_ms(), (BlobProbe(SHOP, blob),)))
    collect_run.collect(system.wiring)
    assert system.store.collection_runs.latest()[0].result == "failed"
    assert STALE in alarms(system)
    assert ran(tmp_path, "dry") == 0


def test_an_alarm_waits_for_no_window(make_system: Make, tmp_path: Path) -> None:
    system, blob = garbage_of(make_system, tmp_path, window=shut())
    lie(system, blob)
    system.store.collections.request_if_none("by hand")
    assert system.store.collections.begin_check(Sweep(now_ms(), (BlobProbe(SHOP, blob),)))
    collect_run.collect(system.wiring)
    assert system.store.collection_runs.latest()[0].result == "failed"
    system.registry.faults.clear()
    collect_run.collect(system.wiring)
    assert alarms(system) == {"garbage"}, "the cache is mended, and the collection waits for its hours"
    assert system.store.collection_runs.latest()[0].result == "postponed"
    assert ran(tmp_path, "dry") == 0


def push_during_the_sweep(make_system: Make, folder: Path, image: Image, lost: Image) -> System:
    """Report a push of `image` while the collector deletes, and delete blobs of `lost`."""
    body = "if not dry:\n    (folder / 'sweeps').touch()\n    time.sleep(600)\n"
    system = make_system(keep_last(5), gc=collector(folder, body))
    system.store.collections.request_if_none("scheduled")
    thread = threading.Thread(target=collect_run.collect, args=(system.wiring,))
    thread.start()
    until(lambda: (folder / "sweeps").exists())
    system.deaf = True
    system.registry.push(SHOP, "v1", image)
    lose(system, lost)
    # In one notification: the collection ends at the first push that it hears of.
    system.missed[:] = [{"events": [event for envelope in system.missed for event in envelope["events"]]}]
    system.hear_late()
    thread.join(240)
    assert not thread.is_alive()
    return system


def test_a_push_that_the_sweep_broke_is_an_alarm_with_its_name_until_it_is_whole(
    make_system: Make, tmp_path: Path
) -> None:
    image = make_image("v1")
    system = push_during_the_sweep(make_system, tmp_path, image, image)
    assert system.store.collection_runs.latest()[0].result == "postponed"
    (trouble,) = system.store.outbox.troubles()
    assert trouble.about == "broken shop/api:v1"
    assert "is missing): push it again" in trouble.message
    sweep(system.wiring)
    assert alarms(system) == {"broken shop/api:v1"}
    system.registry.push(SHOP, "v1", image)
    verify.end_alarms(system.store, system.wiring.registry)
    assert alarms(system) == set()


def test_pushes_that_were_dropped_before_their_check_are_logged(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("service.collect.verify.log.warning", lambda event, **_: warnings.append(event))
    system = make_system(keep_last(5))
    progress = Progress(system.store.collections, "by hand")
    since_ms = now_ms()
    for tag in ("v1", "v2"):
        system.registry.push_image(SHOP, tag)
    system.store.connection.client.xtrim(system.store.connection.keys.of("events"), maxlen=1, approximate=False)
    verify.look_at_pushed(system.store, system.wiring.registry, progress, now_ms() + 1000)
    assert warnings == []
    assert verify.look_at_pushed(system.store, system.wiring.registry, progress, since_ms - 1).checked == 1
    assert ["history.events is too small" in warning for warning in warnings] == [True]


def test_an_index_whose_part_is_broken_is_an_alarm(make_system: Make, tmp_path: Path) -> None:
    part, whole = make_image("arm"), make_image("amd")
    system = push_during_the_sweep(make_system, tmp_path, index_over((whole, part)), part)
    messages = {trouble.about: trouble.message for trouble in system.store.outbox.troubles()}
    assert f"in its part {part.digest}: its blob " in messages["broken shop/api:v1"]


def test_a_push_that_is_whole_is_none(make_system: Make, tmp_path: Path) -> None:
    image = make_image("v1")
    system = push_during_the_sweep(make_system, tmp_path, image, Image("", b""))
    assert alarms(system) == set()
    assert system.store.collections.open_check() is not None, "a manifest that comes later is looked at by the next one"


def test_a_deletion_since_the_sweep_is_no_alarm(make_system: Make, tmp_path: Path) -> None:
    system, _ = garbage_of(make_system, tmp_path)
    digest = system.registry.push_image(SHOP, "v3")
    system.store.collections.request_if_none("by hand")
    assert system.store.collections.begin_check(Sweep(0))
    with Pusher(system.registry.url) as user:
        assert user.delete(SHOP, digest) == 202
    collect_run.collect(system.wiring)
    assert alarms(system) == set()


def test_a_run_after_which_a_push_is_broken_has_failed_and_is_not_wanted_again(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, _ = garbage_of(make_system, tmp_path)
    image, refuse_stale = make_image("v3"), verify.refuse_stale

    def push_first(*args: Any) -> str:
        system.registry.push(SHOP, "v3", image)
        lose(system, image)
        return refuse_stale(*args)

    monkeypatch.setattr(verify, "refuse_stale", push_first)
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, run.checked) == ("failed", 1)
    assert run.message == "these images were pushed meanwhile and are broken: shop/api:v3; push them again"
    assert "broken shop/api:v3" in alarms(system)
    assert system.store.collections.requested() is None


def test_the_record_says_if_no_deleted_blob_could_be_probed(make_system: Make, tmp_path: Path) -> None:
    system, _ = garbage_of(make_system, tmp_path)
    system.store.trash.collected()
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, "no deleted blob could be used to test" in run.note) == ("done", True)


def test_bytes_freed_are_told_from_what_deleted_manifests_say(make_system: Make, tmp_path: Path) -> None:
    system, _ = garbage_of(make_system, tmp_path)
    sizes = sum(len(blob) for blob in make_image("v1").blobs)
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.bytes_freed, run.unsized, run.blobs) == (sizes, 0, 2)
