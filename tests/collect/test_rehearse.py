"""The dry run before the gate closes: it counts where nothing has changed since, and nowhere else."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.collect import marks
from service.collect import run as collect_run
from service.domain.collection.gate import WriteRequest
from service.domain.errors import CollectionFailed
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.collectors import collector
from tests.support.drain import ANN, Counted, collect, collecting, leave_behind, obeying, state
from tests.support.gate import blob_heard, earlier, heard
from tests.support.record import event, record, user_delete
from tests.support.system import SHOP
from tests.support.waiting import until

pytestmark = pytest.mark.slow

BODY = """
    runs = folder / "runs"
    with runs.open("a") as file: print("dry" if dry else "sweep", file=file)
    (folder / "began").touch()
    while (folder / "hold").exists() and not (folder / "go").exists(): time.sleep(0.01)
    print("0 blobs marked, 0 blobs and 0 manifests eligible for deletion")
    sys.exit(1 if (folder / "fail").exists() and len(runs.read_text().split()) == 1 else 0)
"""


@pytest.fixture
def gated(make_wiring: MakeWiring, tmp_path: Path) -> Iterator[Wiring]:
    """A wiring with gc.gate: proxy, a gate process that obeys, and a collector that notes its runs."""
    gc = {**collector(tmp_path, BODY), "gate": "proxy"}
    made = make_wiring(gc=gc, registry={"debug_url": "http://127.0.0.1:9"})
    wiring = replace(made, registry=replace(made.registry, debug=Counted()))
    with obeying(wiring):
        yield wiring


def runs(folder: Path) -> list[str]:
    return (folder / "runs").read_text().split()


def meanwhile(wiring: Wiring, folder: Path, do: Callable[[], object]) -> list[str]:
    """Do something during the dry run before the gate closes, and return the commands that were run."""
    (folder / "hold").touch()
    with collecting(wiring, folder, "began"):
        assert state(wiring) == "open"
        do()
    assert wiring.store.collection_runs.latest()[0].result == "done", wiring.store.collection_runs.latest()[0].message
    return runs(folder)


def test_no_push_waits_for_the_dry_run_if_nothing_changes(gated: Wiring, tmp_path: Path) -> None:
    assert meanwhile(gated, tmp_path, lambda: None) == ["dry", "sweep"]


def forget_a_push(wiring: Wiring) -> None:
    heard(wiring.store.history, number=2)
    wiring.store.connection.client.delete(wiring.store.connection.keys.of("unreferenced"))


def asks_and_stands_still(wiring: Wiring) -> None:
    wiring.store.gate.admit(WriteRequest("asks", SHOP, "sha256:" + "c" * 64), ANN)
    earlier(wiring.store.connection, "pushing", 60)


CHANGES: dict[str, Callable[[Wiring], object]] = {
    "a push": forget_a_push,
    "a delete": lambda wiring: record(wiring.store.history, user_delete(5, "v1")),
    "a pull after a restart of the registry": lambda wiring: record(
        wiring.store.history, event(6, "pull", instance="i2")
    ),
    "a push that relies on a blob": asks_and_stands_still,
}


def test_a_rehearsal_is_stopped_once_a_push_has_made_it_useless(gated: Wiring, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with collecting(gated, tmp_path, "began"):
        (tmp_path / "began").unlink()
        heard(gated.store.history)
        until(lambda: (tmp_path / "began").exists())
        assert state(gated) == "closed"
    assert gated.store.collection_runs.latest()[0].result == "done"


@pytest.mark.parametrize("what", CHANGES)
def test_after_any_change_there_is_another_one_behind_the_gate(gated: Wiring, tmp_path: Path, what: str) -> None:
    record(gated.store.history, event(1, "pull"))
    assert meanwhile(gated, tmp_path, lambda: CHANGES[what](gated)) == ["dry", "dry", "sweep"]


def test_an_existing_manifest_that_was_not_marked_is_checked_behind_the_gate(
    gated: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = iter([CollectionFailed("garbage-collect did not mark shop/api:v1")])

    def refuse(*_: Any) -> None:
        if state(gated) != "open":
            for error in message:
                raise error

    monkeypatch.setattr(marks, "refuse_unmarked", refuse)
    assert collect(gated).result == "done"
    assert runs(tmp_path) == ["dry", "dry", "sweep"]


def test_a_rehearsal_that_fails_beside_pushes_is_repeated(gated: Wiring, tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    assert collect(gated).result == "done"
    assert runs(tmp_path) == ["dry", "dry", "sweep"]


def test_no_dry_run_is_made_during_a_push(gated: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collect.quiesce._patience_s", lambda _: 0.0)
    blob_heard(gated.store.history)
    assert collect(gated).message == f"pushes to {SHOP} did not end in time"
    assert not (tmp_path / "runs").exists()


def test_no_early_dry_run_begins_while_pushprune_may_change_the_registry(gated: Wiring, tmp_path: Path) -> None:
    gated.store.deletions.request_healing(SHOP, ["v1"])
    thread = threading.Thread(target=collect, args=(gated,))
    thread.start()
    until(lambda: state(gated) == "draining")
    assert not (tmp_path / "runs").exists()
    client: Any = gated.store.connection.client
    client.delete(gated.store.connection.keys.of("healing"), gated.store.connection.keys.of("heal", SHOP))
    thread.join(240)
    assert runs(tmp_path) == ["dry", "sweep"]


def test_a_gate_that_a_dead_holder_left_closed_does_not_stay_so_for_its_sake(gated: Wiring, tmp_path: Path) -> None:
    """The rehearsal's lock would keep every worker from proving that holder dead."""
    leave_behind(gated)
    (tmp_path / "hold").touch()
    with collecting(gated, tmp_path, "began"):
        held = gated.store.gate.state()
    assert held is None or held.token != "dead", "it is closed for as long as the dry run takes"
    assert gated.store.collection_runs.latest()[0].result == "done"


def test_a_dry_run_that_takes_too_long_does_not_close_the_gate(
    gated: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gated.registry.collector is not None
    monkeypatch.setattr(gated.registry.collector, "_timeout_s", 0.5)
    drains: list[str] = []
    monkeypatch.setattr(type(gated.store.gate), "drain", lambda *_: drains.append("drained"))
    (tmp_path / "hold").touch()
    run = collect(gated)
    assert (run.result, "gc.timeout" in run.message) == ("failed", True)
    assert runs(tmp_path) == ["dry"]
    assert drains == []


def test_our_deletes_are_waited_for_while_the_gate_is_open(gated: Wiring, tmp_path: Path) -> None:
    """Most collections follow deletions by pushprune. No push has to wait until these have ended."""
    (tmp_path / "hold").touch()
    gated.store.collections.request("after deletes")
    thread = threading.Thread(target=collect_run.collect, args=(gated,))
    with gated.store.leases.write():
        thread.start()
        until(lambda: gated.store.collections.progress() is not None)
    until(lambda: (tmp_path / "began").exists())
    was = state(gated)
    (tmp_path / "hold").unlink()
    thread.join(240)
    assert was == "open"
    assert runs(tmp_path) == ["dry", "sweep"]


def test_healing_does_not_wait_until_the_writers_have_settled(gated: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Healing writes, and only a gate that drains lets it in."""
    monkeypatch.setattr("service.collect.rehearse._WRITERS_S", 600)
    gated.store.deletions.request_healing(SHOP, ["v1"])
    gated.store.collections.request("after deletes")
    thread = threading.Thread(target=collect_run.collect, args=(gated,))
    with gated.store.leases.write():
        thread.start()
        until(lambda: state(gated) == "draining")
        client: Any = gated.store.connection.client
        client.delete(gated.store.connection.keys.of("healing"), gated.store.connection.keys.of("heal", SHOP))
    thread.join(240)
    assert gated.store.collection_runs.latest()[0].result == "done"
