"""The gate stays closed after a sweep until a check has shown that the registry denies deleted blobs."""

import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from service.collect import quiesce, reopening, verify
from service.domain.collection.run import BlobProbe, Sweep
from service.registry.collector import Collector
from service.registry.objects import ObjectStore
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.collectors import QUIET, collector
from tests.support.drain import collect, state

NOBODY = {"url": "http://127.0.0.1:2", "debug_url": "http://127.0.0.1:3"}


def left_closed(make_wiring: MakeWiring, folder: Path, *, keep: bool) -> Wiring:
    """A run before has swept, and its holder is dead. keep: it has found that the registry lies."""
    wiring = make_wiring(gc={**collector(folder, QUIET), "gate": "proxy"}, registry=NOBODY)
    assert wiring.registry.collector is not None
    with wiring.registry.collector.claimed("before"):
        assert wiring.store.gate.drain("before", 1, "by hand")
        assert wiring.store.gate.close("before")
        wiring.store.collections.request_if_none("by hand")
        assert wiring.store.collections.begin_check(Sweep(1, (BlobProbe("shop/api", "sha256:" + "a" * 64),)))
        assert not keep or wiring.store.gate.keep("before", "the registry lies")
    return wiring


def test_the_gate_stays_closed_although_its_holder_is_proved_dead_before_its_checks(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    wiring = left_closed(make_wiring, tmp_path, keep=False)
    reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == "closed"
    wiring.store.collections.end_check()
    assert wiring.store.gate.open("before")


@pytest.mark.parametrize("keep", [True, False])
def test_the_gate_stays_closed_if_the_next_run_cannot_ask_the_registry(
    make_wiring: MakeWiring, tmp_path: Path, keep: bool
) -> None:
    wiring = left_closed(make_wiring, tmp_path, keep=keep)
    assert collect(wiring).result != "done"
    assert state(wiring) == "closed"


def test_the_gate_stays_closed_if_the_next_run_is_postponed(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "_CLOSED_S", 0.2)
    wiring = left_closed(make_wiring, tmp_path, keep=True)
    client: Any = wiring.store.connection.client
    client.zadd(wiring.store.connection.keys.of("writers"), {"somebody": wiring.store.connection.now_ms() + 60_000})
    assert collect(wiring).result == "postponed"
    assert state(wiring) == "closed"


def test_the_gate_stays_closed_while_a_process_of_the_previous_run_lives(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    """For a moment the collector's death cannot be proved, because the next run has the lock. The gate stays closed."""
    wiring = left_closed(make_wiring, tmp_path, keep=True)
    assert wiring.registry.collector is not None
    alive = os.open(wiring.registry.collector._lock, os.O_RDWR)
    fcntl.flock(alive, fcntl.LOCK_EX)
    threading.Timer(0.3, lambda: os.close(alive)).start()
    assert collect(wiring).message == "the gate stays closed until the last collection is verified"
    assert state(wiring) == "closed"


@pytest.mark.parametrize("lies", [True, False])
def test_the_gate_of_a_dead_holder_opens_only_after_a_question_to_the_registry(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lies: bool
) -> None:
    wiring = left_closed(make_wiring, tmp_path, keep=False)
    monkeypatch.setattr(verify, "false_claim", lambda _, probes: probes[0] if lies else None)
    reopening.reopen(wiring.store, wiring.registry, wiring.settings.gc)
    assert state(wiring) == ("closed" if lies else "open")


@pytest.mark.parametrize(("dead_s", "is_closed"), [(900.0, True), (961.0, False)])
def test_a_gate_of_an_online_collection_that_redis_lost_stays_closed_until_no_request_can_arrive(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead_s: float, is_closed: bool
) -> None:
    """Every write waits, as the claims are lost with it. The worker died with a request to delete on its way."""
    wiring = left_closed(make_wiring, tmp_path, keep=False)
    wiring.store.collections.end_check()
    registry = replace(wiring.registry, objects=ObjectStore(MemoryStore(), "memory"))
    monkeypatch.setattr(Collector, "dead_for_s", lambda self, token: dead_s)
    gc = wiring.settings.gc.model_copy(update={"collector": "online"})
    reopening.reopen(wiring.store, registry, gc)
    assert (state(wiring) == "closed") == is_closed
    messages = [trouble.message for trouble in wiring.store.outbox.troubles()]
    assert any("all writes wait for 2 more minutes" in message for message in messages) == is_closed


def test_over_a_bucket_the_gate_stays_until_no_request_of_a_dead_collector_can_arrive(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector may have died hours after it closed the gate, with a request to delete on its way."""
    wiring = left_closed(make_wiring, tmp_path, keep=False)
    wiring.store.collections.end_check()
    registry = replace(wiring.registry, objects=ObjectStore(MemoryStore(), "memory"))
    hours_ago: Any = {"since_ms": wiring.store.connection.now_ms() - 4 * 3_600_000}
    wiring.store.connection.client.hset(wiring.store.connection.keys.of("gate"), mapping=hours_ago)
    reopening.reopen(wiring.store, registry, wiring.settings.gc)
    assert state(wiring) == "closed"
    monkeypatch.setattr(reopening, "_UNANSWERED_S", 0.0)
    reopening.reopen(wiring.store, registry, wiring.settings.gc)
    assert state(wiring) == "open"
