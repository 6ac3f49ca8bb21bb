"""Quiescing: the writes that a collection waits for, its refusals to sweep, and the opening of the gate."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from service.collect import gate_processes, quiesce, reopening, verify
from service.collect import run as collect_run
from service.collect.protect import BlobProtection, read_unread
from service.domain.collection.gate import WriteRequest
from service.domain.collection.run import BlobProbe, Sweep
from service.domain.errors import CollectionFailed, RegistryRefused, StaleCache
from service.domain.oci.manifest import read_references
from service.domain.timestamps import rfc3339
from service.process import identity
from service.prune.planning import enforce
from service.registry.layout import blob_key
from service.registry.probe import LEFTOVERS
from service.store.gate import Gate
from service.store.lease import COLLECT
from service.store.limits import PushLimits
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.fakes.registry_disk import write
from tests.support.collectors import QUIET, collector
from tests.support.drain import ANN, Counted, collect, collecting, leave_behind, obeying, state
from tests.support.gate import blob_heard, earlier, heard
from tests.support.record import digest, event, record
from tests.support.system import SHOP, Make, doomed_system
from tests.support.waiting import until

pytestmark = pytest.mark.slow

SWEPT = "sha256:" + "a" * 64


def test_tags_are_healed_while_a_collection_waits_for_gc_settle(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.collect.quiesce._HEAL_S", 240)
    system = make_system(keep_last(1), gc={**collector(tmp_path, QUIET), "settle": 1, "max_wait": 600})
    system.push("v2")
    system.settle()
    settled = threading.Event()
    monkeypatch.setattr(system.store.trash, "age_s", lambda: 100.0 if settled.is_set() else 0.0)
    client: Any = system.store.connection.client
    keys = system.store.connection.keys
    later_ms = system.store.connection.now_ms() + 600_000
    # As after the push of an index to a repository with a trash.
    client.zadd(keys.of("heal", SHOP), {"v2 again": later_ms})
    client.zadd(keys.of("healing"), {SHOP: later_ms})
    # A daemon: a collection that does not end must not hold up the end of the tests.
    thread = threading.Thread(target=collect, args=(system.wiring,), daemon=True)
    thread.start()
    until(lambda: client.zscore(keys.of("heal", SHOP), "v2 again") < later_ms, within_s=60)
    enforce(system.wiring, SHOP)
    assert not system.store.outbox.healing()
    settled.set()
    thread.join(240)
    assert (tmp_path / "dry").exists(), "it was not postponed"


@pytest.mark.parametrize("body", ["sys.exit(1)", "os.kill(os.getpid(), 9)"])
def test_the_gate_opens_after_a_collector_that_failed(make_wiring: MakeWiring, tmp_path: Path, body: str) -> None:
    wiring = make_wiring(gc=collector(tmp_path, body))
    assert collect(wiring).result == "failed"
    assert state(wiring) == "open"


def test_a_push_is_waited_for_and_named(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "max_wait": 0})
    for number in range(5):
        blob_heard(wiring.store.history, number=number, repository=f"shop/{number}")
    run = collect(wiring)
    expected = "pushes to shop/0, shop/1, shop/2 and 2 more did not end in time"
    assert (run.result, run.message) == ("postponed", expected)
    assert not (tmp_path / "dry").exists()
    assert state(wiring) == "open"


def test_a_push_that_ends_while_draining_is_not_in_the_way(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.gate.admit(WriteRequest("begins", SHOP), ANN)
    thread = threading.Thread(target=collect, args=(wiring,))
    thread.start()
    until(lambda: state(wiring) == "draining")
    assert not (tmp_path / "dry").exists()
    assert wiring.store.gate.admit(WriteRequest("manifest", SHOP, by_tag=True), ANN).passes
    thread.join(240)
    assert wiring.store.collection_runs.latest()[0].result == "done"


def test_too_many_pushes_to_remember_stop_the_sweep(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    client: Any = wiring.store.connection.client
    client.zadd(wiring.store.connection.keys.of("unreferenced"), {"*": wiring.store.connection.now_ms()})
    assert "too many pushes are in progress to keep track of all" in collect(wiring).message
    assert not (tmp_path / "swept").exists()


@dataclass
class Trash:
    """A stand-in for the trash: the blobs of deleted manifests."""

    held_us: dict[str, int]

    def held(self) -> dict[str, int]:
        return self.held_us

    def get(self, repository: str, digest: str) -> None:
        return None

    def age_s(self) -> float:
        return 100.0

    def collected(self) -> int:
        return 0

    def manifests(self, at_most: int | None = None) -> Iterator[tuple[str, Any]]:
        return iter(())


def test_a_reported_blob_needs_no_manifest_if_its_image_was_deleted_by_pushprune_since(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    blob_heard(wiring.store.history, SWEPT)
    heard(wiring.store.history)
    earlier(wiring.store.connection, "pushing", 60)
    now_us = wiring.store.connection.now_us()
    monkeypatch.setattr(wiring.store, "trash", Trash({SWEPT: now_us - 60_000_000}))
    assert collect(wiring).result == "postponed"
    monkeypatch.setattr(wiring.store, "trash", Trash({SWEPT: now_us + 1_000_000}))
    assert collect(wiring).result == "done"


def test_a_push_at_the_gate_is_not_explained_by_what_we_deleted(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.gate.admit(WriteRequest("uploads", SHOP, SWEPT), ANN)
    earlier(wiring.store.connection, "pushing", 60)
    monkeypatch.setattr(wiring.store, "trash", Trash({SWEPT: wiring.store.connection.now_us() + 1_000_000}))
    assert collect(wiring).result == "postponed"


def stored(root: Path, blob: str, age_s: float = 0) -> Path:
    """A blob in a mounted storage."""
    file = root / blob_key(blob)
    write(file, b"x")
    os.utime(file, (file.stat().st_mtime - age_s,) * 2)
    return file


def test_a_young_blob_that_nothing_is_known_of_is_not_swept(make_wiring: MakeWiring, tmp_path: Path) -> None:
    root = tmp_path / "storage"
    stored(root, SWEPT)
    wiring = make_wiring(gc=collector(tmp_path, QUIET), storage={"path": str(root)})
    run = collect(wiring)
    assert run.result == "postponed"
    assert run.message.startswith(f"{SWEPT} was pushed less than gc.youth ago")
    stored(root, SWEPT, age_s=3700)
    assert collect(wiring).result == "done"


def test_a_young_blob_of_something_that_we_deleted_is_swept(make_system: Make, tmp_path: Path) -> None:
    root = tmp_path / "storage"
    body = """
        for line in open(folder / "said"): print(line, end="")
        (folder / ("dry" if dry else "swept")).touch()
    """
    system = make_system(keep_last(1), gc=collector(tmp_path, body), storage={"path": str(root)})
    system.push("v1", "v2")
    tags = system.registry.tags(SHOP)
    system.settle()
    kept = system.store.trash.get(SHOP, tags["v1"])
    assert kept is not None
    eligible = [item for item in system.store.trash.held() if item != tags["v1"]]
    assert eligible, "config and layers"
    for blob in (tags["v1"], *eligible):
        stored(root, blob)
    message = [f"{SHOP}: marking manifest {tags['v2']} \n"]
    message += [f"blob eligible for deletion: {blob}\n" for blob in (tags["v1"], *eligible)]
    (tmp_path / "said").write_text("".join(message))
    assert collect(system.wiring).result == "done", system.store.collection_runs.latest()[0].message


def test_the_blobs_of_a_run_that_was_cut_off_are_swept_by_the_next_run(make_wiring: MakeWiring, tmp_path: Path) -> None:
    """The manifests that needed these blobs have left the trash by then."""
    root = tmp_path / "storage"
    stored(root, SWEPT)
    wiring = make_wiring(gc=collector(tmp_path, QUIET), storage={"path": str(root)})
    wiring.store.gate.note_deleting([SWEPT])
    assert collect(wiring).result == "done"


def test_a_tag_removed_by_a_racing_delete_is_restored_while_a_collection_drains_and_not_later(
    make_wiring: MakeWiring,
) -> None:
    wiring = make_wiring()
    with wiring.store.leases.hold(COLLECT) as lease:
        assert lease is not None
        for state, heals, may in (("draining", True, True), ("draining", False, False), ("closed", True, False)):
            wiring.store.gate.drain("t1", 1, "x")
            if state == "closed":
                wiring.store.gate.close("t1")
            with wiring.store.leases.write(heals=heals) as permit:
                assert (permit is not None) == may
    with wiring.store.leases.write(heals=True) as permit:
        assert permit is None, "its holder may only be paused"
    wiring.store.gate.open("t1")


def test_a_second_look_that_is_due_later_happens_before_a_collection(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look is made when every DELETE must have ended."""
    monkeypatch.setattr("service.collect.quiesce._HEAL_S", 240)
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.deletions.request_healing(SHOP, ["v1"])
    client: Any = wiring.store.connection.client
    later_ms = wiring.store.connection.now_ms() + 600_000
    keys = (wiring.store.connection.keys.of("heal", SHOP), wiring.store.connection.keys.of("healing"))
    client.zadd(keys[0], {"v1": later_ms})
    client.zadd(keys[1], {SHOP: later_ms})
    thread = threading.Thread(target=collect, args=(wiring,))
    thread.start()
    until(lambda: wiring.store.outbox.overdue("healing") == (SHOP,))
    assert client.zscore(keys[0], "v1") < later_ms
    wiring.store.deletions.healed(SHOP, ("v1", int(client.zscore(keys[0], "v1"))), "", None)
    until(lambda: not wiring.store.outbox.healing())
    thread.join(240)
    assert wiring.store.collection_runs.latest()[0].result == "done"


def test_behind_the_gate_what_is_doomed_need_not_be_restored_first(make_system: Make) -> None:
    system = doomed_system(make_system)
    (doomed,) = system.store.history.doomed(SHOP)
    system.store.deletions.request_healing(SHOP, [doomed.tags[0], doomed.digest, "v2"])
    assert system.store.outbox.unhealed() == (f"{SHOP} v2",)


def test_a_redis_that_forgot_the_gate_stops_the_collector(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, "(folder / 'dry').touch(); time.sleep(600)"))
    with collecting(wiring, tmp_path):
        wiring.store.connection.client.delete(wiring.store.connection.keys.of("gate"))
    assert wiring.store.collection_runs.latest()[0].result == "failed"


def test_nothing_is_swept_while_pushes_may_be_under_way_that_redis_has_forgotten(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    memory = wiring.store.gate.check_in("web:1").memory
    wiring.store.connection.client.flushdb()
    assert collect(wiring).result == "done", "no event reported it"
    (tmp_path / "swept").unlink()
    wiring.store.gate.check_in("web:1", memory=memory)
    assert collect(wiring).message.startswith("Redis lost its data, so pushes in progress are unknown")
    assert not (tmp_path / "swept").exists()


def test_a_redis_that_is_emptied_while_the_collector_runs_stops_the_sweep(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    body = "(folder / 'dry').touch()\nwhile not (folder / 'go').exists(): time.sleep(0.01)"
    wiring = make_wiring(gc=collector(tmp_path, body))
    memory = wiring.store.gate.check_in("web:1").memory
    with collecting(wiring, tmp_path):
        client: Any = wiring.store.connection.client
        client.delete(wiring.store.connection.keys.of("gate:memory"))
        wiring.store.gate.check_in("web:1", memory=memory)
    assert wiring.store.collection_runs.latest()[0].result == "postponed"


def test_a_collection_does_not_begin_while_another_holds_the_gate(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.gate.drain("paused", 1, "x")
    run = collect(wiring)
    assert (run.result, run.message) == (
        "postponed",
        "the gate is held by another collection, whose collector may still run",
    )
    assert state(wiring) == "draining"
    assert not (tmp_path / "dry").exists()


def test_the_gate_of_a_dead_holder_is_opened_by_any_worker(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    leave_behind(wiring)
    assert state(wiring) == "closed"
    reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == "open"


def test_a_lock_that_is_free_but_was_another_holders_proves_nothing(make_wiring: MakeWiring, tmp_path: Path) -> None:
    """The holder may be on another machine."""
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    leave_behind(wiring, "another")
    wiring.store.gate.open("another")
    wiring.store.gate.drain("elsewhere", 1, "x")
    reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == "draining"
    (trouble,) = wiring.store.outbox.troubles()
    assert "pushprune gc --open" in trouble.message


@pytest.mark.parametrize("is_local", [True, False])
def test_a_free_lock_of_another_kernel_is_a_proof_only_on_a_disk_of_this_machine(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_local: bool
) -> None:
    """The holder may be on another machine, with the storage on a network's filesystem that keeps locks to itself."""
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(identity, "boot", lambda: "another")
        leave_behind(wiring)
    monkeypatch.setattr(identity, "is_of_one_kernel", lambda _: is_local)
    reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == ("open" if is_local else "closed")
    run = collect(wiring)
    if is_local:
        assert run.result == "done"
    else:
        assert run.message == "the gate is held by another collection, whose collector may still run"
        assert state(wiring) == "closed"
        monkeypatch.setattr(identity, "boot", lambda: "another")
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
        assert state(wiring) == "open", "what would have proved it was overwritten"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("lies", f"the registry still claims to have {SHOP}@{SWEPT}, which was garbage-collected"),
        ("refuses", "our login was taken away"),
    ],
)
def test_a_gate_that_stays_closed_after_its_holder_died_is_an_alarm_until_it_opens(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, why: str
) -> None:
    """No worker may be left that collects, and says so."""
    wiring = make_wiring(
        gc={**collector(tmp_path, QUIET), "gate": "proxy"}, registry={"debug_url": "http://127.0.0.1:9"}
    )
    leave_behind(wiring)
    wiring.store.collections.request_if_none("by hand")
    assert wiring.store.collections.begin_check(Sweep(0, (BlobProbe(SHOP, SWEPT),)))

    def lie(*_: Any) -> BlobProbe:
        if says == "refuses":
            raise RegistryRefused("our login was taken away")
        return BlobProbe(SHOP, SWEPT)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(verify, "false_claim", lie)
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == "closed"
    (trouble,) = wiring.store.outbox.troubles()
    assert trouble.about == "gate"
    assert why in trouble.message
    assert "pushprune gc --open" in trouble.message
    if says == "refuses":
        monkeypatch.setattr(verify, "false_claim", lambda *_: None)
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
        assert state(wiring) == "open"
        assert wiring.store.outbox.troubles() == ()


def test_no_trouble_is_reported_while_the_holder_has_its_lease(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    with wiring.store.leases.hold(COLLECT):
        wiring.store.gate.drain("elsewhere", 1, "x")
        reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert wiring.store.outbox.troubles() == ()


def test_the_next_holder_opens_the_gate_before_it_overwrites_the_proof(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    leave_behind(wiring)
    assert collect(wiring).result == "done"
    assert state(wiring) == "open"


def test_a_second_claim_in_the_same_process_is_refused(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    assert wiring.registry.collector is not None
    with wiring.registry.collector.claimed("one"):
        with pytest.raises(CollectionFailed), wiring.registry.collector.claimed("two"):
            pytest.fail("both hold it")
        assert not wiring.registry.collector.is_dead("one")
        assert wiring.registry.collector.run(lambda: True).succeeded
    assert wiring.registry.collector.is_dead("one")


@pytest.fixture
def guarded(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWiring:
    """guarded(writes=…): a wiring with gc.gate: proxy, and a debug server that reports this work."""
    monkeypatch.setattr(quiesce, "_CLOSED_S", 0.3)

    def build(max_wait: int = 0, gate_wait: int = 60, **message: int) -> Wiring:
        gc = {**collector(tmp_path, QUIET), "gate": "proxy", "max_wait": max_wait, "gate_wait": gate_wait}
        made = make_wiring(gc=gc, registry={"debug_url": "http://127.0.0.1:9"})
        return replace(made, registry=replace(made.registry, debug=Counted(**message)))

    return build


def test_a_collection_waits_for_requests_that_the_registry_still_handles(guarded: MakeWiring, tmp_path: Path) -> None:
    assert collect(guarded(writes=2)).message == "2 writes did not end at the registry in time"
    assert collect(guarded(undelivered=3)).message == "3 notifications were not delivered in time"
    assert not (tmp_path / "swept").exists()


def test_nothing_is_swept_where_no_web_process_serves_the_gate(guarded: MakeWiring, tmp_path: Path) -> None:
    assert collect(guarded()).message.startswith("no gate process is running to answer the proxy")
    assert not (tmp_path / "swept").exists()


def test_no_client_waits_for_a_gate_process_that_ended_without_signing_off(
    guarded: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring, drained, drain = guarded(), list[str](), Gate.drain

    def counted(gate: Gate, *holder: Any) -> bool:
        drained.append("drained")
        return drain(gate, *holder)

    monkeypatch.setattr(Gate, "drain", counted)
    wiring.store.gate.check_in(str(replace(identity.current(), host="c0ffee")))
    earlier(wiring.store.connection, "gates", 40)
    run = collect(wiring)
    assert (run.result, drained) == ("postponed", [])
    assert run.message.startswith("the gate process on c0ffee has not reached Redis since 20")
    assert "if it has ended, `pushprune gc --forget-gates` ends the wait" in run.message
    (silent,) = gate_processes.silent(wiring.store)
    assert rfc3339((silent.seen_ms + 3_600_000) * 1000)[:16].replace("T", " ") in run.message
    gate_processes.forget(wiring.store, (silent,))
    assert collect(wiring).message.startswith("no gate process is running")


def test_a_gate_process_that_reached_redis_while_the_operator_was_asked_is_not_forgotten(guarded: MakeWiring) -> None:
    store = guarded().store
    store.gate.check_in("web:cut off")
    earlier(store.connection, "gates", 40)
    silent = gate_processes.silent(store)
    store.gate.check_in("web:cut off")
    gate_processes.forget(store, silent)
    assert store.gate.processes() == ("web:cut off",)


def test_a_gate_process_that_is_only_late_is_no_reason_to_postpone_collections(guarded: MakeWiring) -> None:
    wiring = guarded()
    wiring.store.gate.check_in("web:late")
    earlier(wiring.store.connection, "gates", 5)
    assert gate_processes.silent(wiring.store) == ()
    earlier(wiring.store.connection, "gates", 3600)
    assert gate_processes.silent(wiring.store) == ()


def test_nothing_is_swept_before_every_web_process_obeys(guarded: MakeWiring, tmp_path: Path) -> None:
    wiring = guarded()
    wiring.store.gate.check_in("web:cut-off", "")
    with obeying(wiring):
        run = collect(wiring)
    assert run.message == "the gate process on web:cut-off does not know that the gate is closed"
    assert not (tmp_path / "swept").exists()
    assert state(wiring) == "open"


def test_a_collection_runs_once_no_client_writes(obeyed: Wiring) -> None:
    run = collect(obeyed)
    assert (run.result, run.message) == ("done", "")


def test_more_pushes_than_can_be_remembered_postpone_the_collection(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "max_wait": 0})
    wiring.store.gate = Gate(wiring.store.connection, PushLimits(pushes=1))
    for number in range(2):
        wiring.store.gate.admit(WriteRequest("begins", f"shop/{number}"), ANN)
    assert collect(wiring).message == "too many pushes are in progress to keep track of all"
    assert not (tmp_path / "dry").exists()


def test_the_blobs_of_a_push_without_references_are_read_from_its_manifest(make_system: Make, tmp_path: Path) -> None:
    """The push is over: the gate protects the blobs of its manifest no longer, but still what else its client named."""
    body = """
        for line in open(folder / "said"): print(line, end="")
        (folder / ("dry" if dry else "swept")).touch()
    """
    system = make_system(keep_last(1), gc=collector(tmp_path, body))
    wiring = system.wiring
    system.push("v1", "v2")
    tags = system.registry.tags(SHOP)
    system.settle()
    kept = wiring.store.trash.get(SHOP, tags["v1"])
    assert kept is not None
    blobs = [blob for blob, _ in read_references(kept.media_type, kept.content).blobs]
    for blob in (*blobs, tags["v1"]):
        wiring.store.gate.admit(WriteRequest("uploads", SHOP, blob), ANN)
    wiring.store.gate.admit(WriteRequest("manifest", SHOP, by_tag=True), ANN)
    record(wiring.store.history, event(1, tag="v1", digest=kept.digest, address="10.0.0.7:4711"))
    earlier(wiring.store.connection, "pushing", 60)
    assert {item.digest for item in wiring.store.pushes.unread_manifests()} >= {kept.digest}
    read_unread(wiring.store, wiring.registry, wiring.store.pushes.unreferenced([tags["v1"]]))
    loose = wiring.store.pushes.unreferenced((*blobs, tags["v1"]))
    assert {item.digest for item in loose if item.client == ANN} == {tags["v1"]}


def test_the_time_for_which_the_gate_was_closed_is_recorded(obeyed: Wiring) -> None:
    run = collect(obeyed)
    assert run.result == "done"
    assert 0 < run.closed_ms <= run.ended_ms - run.started_ms + 1
    assert "was closed" not in run.note


def test_a_gate_closed_for_longer_than_a_write_waits_is_reported(
    obeyed: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BlobProtection, "closed_ms", 61_000)
    assert "the gate was closed for 61 s" in collect(obeyed).note


def test_without_a_gate_no_gate_was_closed(make_wiring: MakeWiring, tmp_path: Path) -> None:
    assert collect(make_wiring(gc=collector(tmp_path, QUIET))).closed_ms == 0


def test_a_deleted_digest_says_nothing_about_another(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    wiring.store.gate.admit(WriteRequest("uploads", SHOP, digest("another")), ANN)
    earlier(wiring.store.connection, "pushing", 60)
    assert collect(wiring).result == "done"


@pytest.fixture
def obeyed(guarded: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiring]:
    """A wiring with gc.gate: proxy, and a gate process that obeys, however busy the machine is."""
    monkeypatch.setattr(quiesce, "_CLOSED_S", 60.0)
    wiring = guarded()
    with obeying(wiring):
        yield wiring


def lies(*_: object) -> str:
    raise StaleCache("the registry still claims deleted blobs")


def test_a_registry_that_lies_keeps_the_gate_closed_until_a_run_finds_that_it_does_not(
    obeyed: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(verify, "refuse_stale", lies)
    monkeypatch.setattr(verify, "false_claim", lambda *_: BlobProbe(SHOP, SWEPT))
    assert collect(obeyed).message == "the registry still claims deleted blobs"
    reopening.reopen(obeyed.store, obeyed.registry, obeyed.settings.gc)
    assert state(obeyed) == "closed", "the sweep opened it, although its holder is dead"
    assert collect(obeyed).result == "failed"
    assert state(obeyed) == "closed"
    turn = obeyed.store.gate._turn

    def see(*what: Any) -> bool:
        seen.append(what[0])
        return turn(*what)

    monkeypatch.setattr(obeyed.store.gate, "_turn", see)
    monkeypatch.setattr(verify, "refuse_stale", lambda *_: "")
    monkeypatch.setattr(verify, "false_claim", lambda *_: None)
    assert collect(obeyed).result == "done"
    assert state(obeyed) == "open"
    assert seen == ["open"], "it was open in between"


def test_a_slow_push_holds_others_back_for_less_than_they_wait(guarded: MakeWiring) -> None:
    wiring = guarded(max_wait=600, gate_wait=1)
    assert quiesce._patience_s(wiring.settings.gc) == 0.5
    blob_heard(wiring.store.history)
    assert collect(wiring).message == f"pushes to {SHOP} did not end in time"
    assert state(wiring) == "open"


def test_a_collection_that_is_postponed_for_long_is_tried_seldom(make_wiring: MakeWiring, tmp_path: Path) -> None:
    wiring = make_wiring(gc={**collector(tmp_path, QUIET), "max_wait": 0})
    blob_heard(wiring.store.history)
    wiring.store.collections.request_if_none("scheduled")
    client: Any = wiring.store.connection.client
    retry, waiting = (wiring.store.connection.keys.of(name) for name in ("gc:retry", "gc:waiting"))
    collect_run.collect(wiring)
    assert client.pttl(retry) <= 5_000
    client.hset(waiting, "since_ms", wiring.store.connection.now_ms() - 400_000)
    collect_run.collect(wiring)
    assert 60_000 < client.pttl(retry) <= 110_000
    client.hset(waiting, "since_ms", 1)
    collect_run.collect(wiring)
    assert 500_000 < client.pttl(retry) <= 600_000


def test_the_manifests_that_the_doctor_leaves_may_be_swept(make_wiring: MakeWiring, tmp_path: Path) -> None:
    (blob, *_) = LEFTOVERS
    body = f"""
    print("0 blobs marked, 1 blobs and 0 manifests eligible for deletion")
    print("blob eligible for deletion: {blob}")
    """
    stored(tmp_path / "storage", blob)
    wiring = make_wiring(gc=collector(tmp_path, body), storage={"path": str(tmp_path / "storage")})
    assert (collect(wiring).result, collect(wiring).message) == ("done", "")


def closing(wiring: Wiring, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Call `then` at the moment at which the gate closes."""
    close = wiring.store.gate.close

    def close_and(token: str) -> bool:
        then()
        return close(token)

    monkeypatch.setattr(wiring.store.gate, "close", close_and)


def test_a_healing_that_began_while_it_drained_is_waited_for(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "_CLOSED_S", 0.2)
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    with ExitStack() as stack:
        closing(wiring, monkeypatch, lambda: stack.enter_context(wiring.store.leases.write(heals=True)))
        assert collect(wiring).message == "deletions by pushprune did not end in time"
    assert not (tmp_path / "dry").exists()


def test_a_write_that_the_gate_let_pass_just_before_it_closed_is_waited_for(
    obeyed: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is on its way from the proxy to the registry, which counts it only after a pause."""
    counted: Any = obeyed.registry.debug
    monkeypatch.setattr(quiesce, "_PASSING_S", 0.0123)
    sleep = time.sleep

    def arrive(pause_s: float) -> None:
        if pause_s == 0.0123:
            counted.said = (1, 0)
            # It never ends: no need to wait for that.
            monkeypatch.setattr(quiesce, "_CLOSED_S", 0.1)
        sleep(pause_s)

    monkeypatch.setattr(time, "sleep", arrive)
    assert collect(obeyed).message == "1 writes did not end at the registry although the gate was closed"
