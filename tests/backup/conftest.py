"""A system with a past of every kind, and the command line over its Redis."""

import gzip
import time
from functools import partial

import pytest

from service.domain.collection.run import Run as Collection
from service.prune import approvals
from service.prune.protecting import current_digests, protect
from service.reconcile import run as reconcile_run
from service.reports import held_plans
from service.store import schema
from service.usage.measuring import Measuring
from tests.conftest import keep_last
from tests.fakes.images import make_image, make_index
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System, make_system, old_pushes, on_disk, short_pauses, whole_listings
from tests.support.verbs import Run, answer, configure
from workers.sweep import sweep

__all__ = ["make_system", "old_pushes", "on_disk", "short_pauses", "whole_listings"]

HELD, REJECTED, EMPTIED = "team/held", "team/rejected", "team/emptied"


@pytest.fixture
def lived(make_system: Make) -> System:
    """Real events: indexes, pulls, a protection, deletions that were restored or not, holds, a deletion by a user."""
    system = make_system(keep_last(2, hold_over=50, hold_min=3), reconcile={"rate": 100_000})
    with Pusher(system.registry.url) as user:
        system.registry.push(SHOP, "multi1", make_index("multi1"))
        for tag in ("v1", "v2"):
            system.push(tag)
            system.settle()
        system.push("latest")
        user.pull_whole(SHOP, "v2")
        system.settle()
        system.wiring.restore.restore(SHOP, tag="v1")
        system.push("v3")
        system.registry.push(SHOP, "multi2", make_index("multi2"))
        system.push("latest")
        system.registry.push(SHOP, "latest", make_image("another"))
        protect(system.store, system.wiring.dispatch, SHOP, current_digests(system.store, SHOP, ["v3"]), 3600, by="ann")
        for name in (HELD, REJECTED):
            system.push(*(f"v{number}" for number in range(7)), repository=name)
        system.push("v1", repository=EMPTIED)
        user.delete(EMPTIED, system.registry.tags(EMPTIED)["v1"])
        system.later()
        user.pull_whole(SHOP, "latest")
    (waiting,) = held_plans.waiting(system.store, [REJECTED])
    approvals.reject(system.store, REJECTED, waiting.hold.plan, by="bob")
    sweep(system.wiring)
    while system.store.reconcile_runs.current() or system.store.reconcile_runs.requested():
        reconcile_run.continue_run(system.wiring)
    system.later()
    measuring = Measuring(system.store, system.wiring.registry, per_second=100_000)
    for _ in range(8):
        measuring.step()
    now_ms = time.time_ns() // 1_000_000
    system.store.collection_runs.record(
        Collection(now_ms - 5000, now_ms, "done", "requested manually", 0, 7, 3, 1, 4096)
    )
    system.store.collection_runs.keep_log(now_ms - 5000, gzip.compress(b"3 blobs eligible for deletion"))
    system.store.outbox.note_trouble(f"lost {SHOP}:v0", "lost in a race")
    system.messages.sent.clear()
    return system


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of the service runs that an import would wait for."""
    monkeypatch.setattr(schema, "WATCH_S", 0.0)


@pytest.fixture
def run(lived: System, at_once: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments) -> exit code, standard output, standard error; over the Redis of `lived`."""
    configure(monkeypatch, lived.wiring)
    capsys.readouterr()
    return partial(answer, capsys)
