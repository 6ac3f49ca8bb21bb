"""Counters and times of the workers, for /metrics."""

from dataclasses import replace

from service.domain.metrics import Metered
from service.prune import deleting
from service.prune.batch import latest_us, time_push_to_deletion
from tests.conftest import keep_last
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System, doomed_system
from workers import tasks


def metered(system: System) -> Metered:
    system.store.meter.flush()
    return system.store.meter.read()


def test_a_push_that_pushes_one_out_is_counted_and_timed(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    system.settle()
    result = metered(system)
    assert result.counts["plans", "doomed"] == 1
    gone = result.timings["push_to_deletion", ""]
    assert sum(gone.counts.values()) + gone.more == 1
    assert sum(result.timings["registry_request", "DELETE 202"].counts.values()) == 1


def test_a_long_time_after_the_last_push_nothing_is_timed(make_system: Make) -> None:
    system = make_system(keep_last(9))
    system.push("v1")
    snapshot = system.store.history.snapshot(SHOP)
    old = tuple(replace(tag, pushed_us=(tag.pushed_us or 0) - 601_000_000) for tag in snapshot.tags)
    unannounced = tuple(replace(tag, unannounced=True) for tag in snapshot.tags)
    for tags in (old, unannounced, ()):
        time_push_to_deletion(system.store, latest_us(replace(snapshot, tags=tags)))
    assert ("push_to_deletion", "") not in metered(system).timings
    time_push_to_deletion(system.store, latest_us(snapshot))
    assert ("push_to_deletion", "") in metered(system).timings


def test_an_image_that_is_spared_is_counted(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.deaf = True
    Pusher(system.registry.url).push_image(SHOP, "v1", seed="another")
    deleting.delete(system.wiring, SHOP)
    assert metered(system).counts["deletes", "spared"] == 1


def test_a_failed_task_is_counted_by_its_queue(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.registry.fail_next("DELETE", status=503)
    tasks.attempt(system.wiring, "doomed", SHOP, deleting.delete)
    assert metered(system).counts["failures", "doomed"] == 1
    assert sum(metered(system).timings["registry_request", "DELETE 503"].counts.values()) == 1
