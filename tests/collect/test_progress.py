"""The stage of a collection is visible while it runs, is renewed, and disappears with it."""

import threading
from pathlib import Path

import pytest

from service.collect import progress, run
from service.collect.progress import Progress
from service.domain.collection.run import REHEARSING, SWEEPING, WAITING
from tests.conftest import MakeWiring
from tests.support.collectors import collector
from tests.support.waiting import until


def test_each_stage_can_be_seen_and_then_none(make_wiring: MakeWiring, tmp_path: Path) -> None:
    body = "name = 'dry' if dry else 'swept'\nwhile not (folder / name).exists(): time.sleep(0.01)\n"
    wiring = make_wiring(gc={**collector(tmp_path, body), "max_wait": 600})

    def stage() -> str | None:
        under = wiring.store.collections.progress()
        return under.stage if under else None

    assert stage() is None
    wiring.store.collections.request_if_none("scheduled")
    thread = threading.Thread(target=run.collect, args=(wiring,))
    with wiring.store.leases.write():
        thread.start()
        until(lambda: stage() == WAITING)
    until(lambda: stage() == REHEARSING)
    under = wiring.store.collections.progress()
    assert under is not None
    assert under.reason == "scheduled"
    assert under.started_ms <= under.since_ms
    (tmp_path / "dry").touch()
    until(lambda: stage() == SWEEPING)
    (tmp_path / "swept").touch()
    thread.join(240)
    assert stage() is None


def test_a_stage_that_takes_long_is_shown_again(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_RENEW_S", 0.01)
    wiring = make_wiring()
    key = wiring.store.connection.keys.of("gc:state")
    with Progress(wiring.store.collections, "scheduled") as shown:
        shown.at(SWEEPING)
        assert 0 < int(str(wiring.store.connection.client.pttl(key))) <= 15_000, "who is killed is not shown for ever"
        wiring.store.connection.client.delete(key)
        until(lambda: wiring.store.collections.progress() is not None)
    assert wiring.store.collections.progress() is None


def test_the_collector_reports_the_share_that_is_deleted(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_RENEW_S", 0.01)
    body = """
        print()
        print("1 blobs marked, 2 blobs and 0 manifests eligible for deletion", flush=True)
        print("blob eligible for deletion: sha256:" + "a" * 64, flush=True)
        while not dry and not (folder / "go").exists(): time.sleep(0.01)
        print("blob eligible for deletion: sha256:" + "b" * 64)
    """
    wiring = make_wiring(gc=collector(tmp_path, body))

    def share() -> int | None:
        under = wiring.store.collections.progress()
        return under.percent if under and under.stage == SWEEPING else None

    wiring.store.collections.request_if_none("scheduled")
    thread = threading.Thread(target=run.collect, args=(wiring,))
    thread.start()
    until(lambda: share() == 50)
    (tmp_path / "go").touch()
    thread.join(240)


def test_items_that_are_done_are_published_from_time_to_time(
    make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring()
    published: list[tuple[int, int]] = []
    monkeypatch.setattr(
        wiring.store.collections, "publish_progress", lambda under: published.append((under.done, under.done_bytes))
    )
    monkeypatch.setattr(progress, "_SHOW_S", 60)
    shown = Progress(wiring.store.collections, "scheduled")
    shown.at(SWEEPING, 100, 1000)
    shown.advance(1, 10)
    shown.advance(1, 10)
    assert published == [(0, 0)]
    monkeypatch.setattr(progress, "_SHOW_S", 0)
    shown.advance(48, 480)
    assert published == [(0, 0), (50, 500)]
