"""/api/v1/collections: past ones, the running one, the reason why the next one waits, and requests."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.collection.run import MANUAL, SWEEPING, CollectionStage, Run, Sweep, Undeletion
from service.domain.timestamps import rfc3339
from tests.support.edge import Edge, ServeEdge
from tests.support.problem import problem


def looked_up(edge: Edge) -> dict[str, Any]:
    response = edge.http.get("/api/v1/collections")
    assert response.status_code == 200
    assert isinstance(response.json, dict)
    return response.json


def test_a_new_installation_has_nothing_to_show(edge: Edge) -> None:
    assert looked_up(edge) == {
        "running": None,
        "queued": None,
        "postponed": None,
        "next_at": None,
        "gate": None,
        "runs": [],
        "permanent": 0,
        "garbage": None,
    }


def test_runs_are_listed_with_all_that_is_known_of_them(edge: Edge) -> None:
    recorded = Run(1, 5, "done", "by hand", 0, 7, 2, 1, None, gate="none", final=3, note="no gate")
    edge.store.collection_runs.record(recorded)
    (run,) = looked_up(edge)["runs"]
    assert run == {
        "started_at": rfc3339(1000), "ended_at": rfc3339(5000),
        "result": "done", "reason": "by hand", "exit_code": 0, "in_use": 7, "blobs": 2,
        "manifests": 1, "bytes_freed": None, "unsized": 0, "permanent": 3, "checked": 0, "gate": "none", "message": "",
        "note": "no gate", "closed_ms": 0, "unlinked": 0, "held_ms": 0, "quarantined": 0,
        "quarantined_bytes": 0, "quarantined_until": None, "would_delete": None, "garbage": None,
    }  # fmt: skip


def test_the_one_under_way_and_the_next_are_shown(serve: ServeEdge) -> None:
    edge = serve(gc={"command": "true", "schedule": "0 3 * * *", "window": "22:00-02:00"})
    edge.store.collections.publish_progress(CollectionStage(SWEEPING, 2, 1, "scheduled", 1, 4))
    shown = looked_up(edge)
    assert shown["running"] == {
        "stage": SWEEPING, "stage_since": rfc3339(2000), "started_at": rfc3339(1000), "reason": "scheduled",
        "done": 1, "total": 4, "done_bytes": 0, "total_bytes": 0, "percent": 25,
    }  # fmt: skip
    assert datetime.fromisoformat(shown["next_at"]).hour == 22, "the window opens after the time it comes"


def test_the_reason_of_a_postponed_collection_is_shown_once_with_the_number_of_attempts(serve: ServeEdge) -> None:
    edge = serve(gc={"command": "true"})
    edge.store.collections.request_if_none("scheduled")
    for ended_ms in (5, 9):
        edge.store.collection_runs.record(Run(1, ended_ms, "postponed", "scheduled", message="not now"), once=True)
    shown = looked_up(edge)
    assert (shown["queued"], len(shown["runs"])) == ("scheduled", 1)
    assert shown["postponed"] == {"message": "not now", "since": rfc3339(5000), "at": rfc3339(9000), "times": 2}


def test_a_collection_is_requested(serve: ServeEdge) -> None:
    edge = serve(gc={"command": "true"})
    response = edge.http.post("/api/v1/collections", json={"dry_run": False})
    assert (response.status_code, response.json) == (
        200, {"reason": f"{MANUAL} (API)", "dry_run": False, "permanent": 0},
    )  # fmt: skip
    assert edge.store.collections.requested() == f"{MANUAL} (API)"
    assert edge.sent == [("collect",)]


def test_a_dry_run_is_asked_for_and_no_collection(serve: ServeEdge) -> None:
    edge = serve(gc={"command": "true"})
    assert edge.http.post("/api/v1/collections", json={"dry_run": True}).status_code == 200
    assert edge.store.collections.requested() is None
    assert edge.store.collections.rehearsal_requested() is not None


@pytest.fixture
def online(serve: ServeEdge, tmp_path: Path) -> Edge:
    """An edge whose registry is collected online."""
    gc = {"collector": "online", "gate": "proxy"}
    registry = {"url": "http://127.0.0.1:1", "debug_url": "http://127.0.0.1:1"}
    return serve(gc=gc, storage={"path": tmp_path}, registry=registry)


def test_a_full_disk_gets_a_shorter_grace_but_none_below_the_longest_request(online: Edge, serve: ServeEdge) -> None:
    assert online.http.post("/api/v1/collections", json={"grace": "20m"}).status_code == 200
    assert online.store.collections.requested_grace_s() == 1200
    status, detail = problem(online.http.post("/api/v1/collections", json={"grace": "14m"}))
    assert (status, detail.partition(",")[0]) == (409, "the grace must be at least 15m")
    assert online.http.post("/api/v1/collections", json={}).status_code == 200
    assert online.store.collections.requested_grace_s() is None
    other = serve(gc={"command": "true"})
    assert problem(other.http.post("/api/v1/collections", json={"grace": "20m"}))[0] == 409


def test_data_in_quarantine_is_asked_for(online: Edge, edge: Edge) -> None:
    digest = f"sha256:{'a' * 64}"
    reason = f"an undeletion {MANUAL} (API)"
    response = online.http.post("/api/v1/collections/undeletions", json={"digests": [digest]})
    assert (response.status_code, response.json) == (200, {"reason": reason})
    assert online.store.collections.undeletion_requested() == Undeletion(reason, (digest,))
    assert problem(online.http.post("/api/v1/collections/undeletions", json={"digests": ["x"]}))[0] == 409
    assert problem(edge.http.post("/api/v1/collections/undeletions", json={}))[0] == 409


def test_without_a_command_it_is_reported_what_to_set(edge: Edge) -> None:
    status, detail = problem(edge.http.post("/api/v1/collections", json={}))
    assert (status, detail.partition(":")[0]) == (409, "gc.command is not set")


def test_the_queued_one_is_cancelled_unless_it_sweeps(serve: ServeEdge) -> None:
    edge = serve(gc={"command": "true"})
    assert problem(edge.http.delete("/api/v1/collections")) == (409, "no collection is queued")
    edge.store.collections.request("by hand")
    assert edge.store.collections.begin_check(Sweep(1))
    status, detail = problem(edge.http.delete("/api/v1/collections"))
    assert (status, detail.partition(":")[0]) == (409, "the collection has begun to delete blobs")
    assert edge.store.collections.requested() == "by hand"
    edge.store.collections.end_check()
    cancelled = edge.http.delete("/api/v1/collections")
    assert (cancelled.status_code, cancelled.json) == (200, {"reason": "by hand"})
    assert looked_up(edge)["queued"] is None
    assert not edge.store.collections.begin_check(Sweep(1)), "a cancelled collection deletes nothing"
    assert edge.store.collections.open_check() is None
