"""The sweep takes up the work that a lost message, a dead worker or a crash between two writes left behind."""

import threading
from typing import Any

import pytest

from service.clock import now_us
from service.prune import planning
from service.store.keys import Keys
from service.store.lease import COLLECT, COLLECT_MS, UNANSWERED_MS
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, System
from tests.support.waiting import until
from workers.sweep import sweep


def test_two_sweeps_at_once_send_a_message_once(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.store.outbox.mark_due([f"r{number}" for number in range(50)])
    client, key = system.store.connection.client, system.store.connection.keys.of("due")
    for number in range(50):
        client.zadd(key, {f"r{number}": 1})
    threads = [threading.Thread(target=sweep, args=(system.wiring,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(system.messages.sent) == len(set(system.messages.sent)) == 50


def _with_old_event(system: System) -> str:
    """Record an event of a year and a half ago; return the key of the events."""
    system.push("v1")
    key = system.store.connection.keys.of("events")
    client: Any = system.store.connection.client
    ((_, fields),) = client.xrevrange(key, count=1)
    client.delete(key)
    for at_ms in (now_us() // 1000 - 550 * 86_400_000, now_us() // 1000):
        client.xadd(key, fields, id=f"{at_ms}-0")
    return key


def test_events_are_dropped_once_they_are_as_old_as_they_may_be(make_system: Make) -> None:
    for max_age, left in (("600d", 2), ("400d", 1)):
        system = make_system(keep_last(1), history={"max_age": max_age})
        key = _with_old_event(system)
        sweep(system.wiring)
        assert system.store.connection.client.xlen(key) == left
        system.store.connection.client.delete(system.store.connection.keys.of("lease", "trim"))


@pytest.mark.parametrize("name", ["service.store.connection.Connection.now_ms", "workers.sweep.now_us"])
def test_a_clock_that_is_years_ahead_drops_no_event(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    system = make_system(keep_last(1), history={"max_age": "600d"})
    key = _with_old_event(system)
    years = 3 * 366 * 86_400_000
    clock_ms = now_us() // 1000 + years
    monkeypatch.setattr(name, lambda *_: clock_ms * (1000 if name.endswith("now_us") else 1))
    sweep(system.wiring)
    assert system.store.connection.client.xlen(key) == 2


def test_work_that_backs_off_is_not_sent_before_its_time(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    system.messages.sent.clear()
    system.store.outbox.postpone("due", "shop/api", asked_s=30)
    sweep(system.wiring)
    assert system.messages.sent == []


def test_healing_backs_off_as_well(make_system: Make) -> None:
    """The registry has asked to be left alone, and nothing of it says otherwise."""
    system = make_system(keep_last(5))
    system.push("v1")
    system.settle()
    system.store.deletions.request_healing(SHOP, ["v1"])
    system.registry.fail_next("*", status=429, headers={"Retry-After": "30"}, times=None)
    system.wiring.dispatch.enforce(SHOP)
    system.work()
    client, key = system.store.connection.client, system.store.connection.keys.of("healing")
    assert float(client.zscore(key, SHOP) or 0) > system.store.connection.now_ms() + 20_000


def test_a_push_does_not_wait_for_a_back_off(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    system.store.outbox.postpone("due", "shop/api", asked_s=30)
    system.messages.sent.clear()
    system.push("v2")
    assert system.messages.sent == [("enforce", "shop/api")]


def test_a_long_queue_is_not_made_longer(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.store.outbox.mark_due(["shop/api"])
    client, keys = system.store.connection.client, system.store.connection.keys
    client.zadd(keys.of("due"), {"shop/api": 1})
    client.rpush(keys.of("enforce"), *["message"] * 250)
    sweep(system.wiring)
    assert system.messages.sent == []


def test_a_changed_policy_makes_every_repository_due(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    system.push("v1", repository="other")
    system.settle()
    sweep(system.wiring)
    system.messages.sent.clear()
    system.store.connection.client.set(system.store.connection.keys.of("policy"), "what was in force before")
    sweep(system.wiring)
    assert set(system.messages.sent) == {("enforce", "other"), ("enforce", "shop/api")}


@pytest.mark.live
def test_a_grace_that_ends_is_noticed_without_a_push(make_system: Make) -> None:
    system = make_system(keep_last(1, grace="1s"))
    system.push("v1", "v2")
    system.settle()
    assert system.tags() == {"v1", "v2"}

    def sweep_and_settle() -> bool:
        sweep(system.wiring)
        system.settle()
        return system.tags() == {"v2"}

    until(sweep_and_settle)


def test_requests_for_a_collection_do_not_pile_up_behind_one_that_waits(make_system: Make) -> None:
    system = make_system(keep_last(1))
    client, keys = system.store.connection.client, system.store.connection.keys
    system.store.collections.request("by hand")
    client.rpush(keys.of("garbage"), "message")
    sweep(system.wiring)
    assert system.messages.sent == []
    client.delete(keys.of("garbage"))
    sweep(system.wiring)
    assert system.messages.sent == [("collect",)]


def test_old_images_leave_the_trash_although_new_ones_arrive(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    old, new = (system.registry.tags(SHOP)[tag] for tag in ("v1", "v2"))
    system.settle()
    client, trashed = system.store.connection.client, system.store.connection.keys.of("trashed")
    client.zadd(trashed, {f"{SHOP} {old}": now_us() - (system.wiring.settings.history.trash + 1) * 1_000_000})
    system.push("v3")
    system.settle()
    sweep(system.wiring)
    assert system.store.trash.get(SHOP, old) is None
    assert system.store.trash.get(SHOP, new) is not None
    assert client.zrange(trashed, 0, -1) == [f"{SHOP} {new}"]


HOUR_MS = 3_600_000


@pytest.fixture
def set_back(make_system: Make) -> System:
    """A system whose Redis has just had its clock set back by an hour: all earlier times are an hour too late.

    shop/api has something to plan, to delete and to heal. Every holder of a lease is dead.
    """
    system = make_system(keep_last(1))
    sweep(system.wiring)
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    system.store.outbox.mark_due(["shop/web"])
    system.store.deletions.request_healing(SHOP, ["v1"])
    system.messages.sent.clear()
    client, keys, now_ms = _redis(system)
    client.set(keys.of("clock"), now_ms + HOUR_MS)
    for key in (keys.of("due"), keys.of("doomed"), keys.of("healing"), keys.of("heal", SHOP)):
        for member, at_ms in client.zrange(key, 0, -1, withscores=True):
            client.zadd(key, {member: at_ms + HOUR_MS})
    client.zadd(keys.of("writers"), {"dead": now_ms + HOUR_MS})
    client.zadd(keys.of("workers"), {"dead": now_ms + HOUR_MS})
    client.hset(keys.of("attempts"), f"doomed {SHOP} until", now_ms + HOUR_MS)
    for name in (f"enforce:{SHOP}", f"delete:{SHOP}", COLLECT, "tick", "walk", "trim"):
        client.set(keys.of("lease", name), "dead", px=HOUR_MS)
    for name in ("gc:retry", "reconcile:pause", "reconcile:sent", "change_limit"):
        client.set(keys.of(name), "1", px=HOUR_MS)
    return system


def _redis(system: System) -> tuple[Any, Keys, int]:
    connection = system.store.connection
    return connection.client, connection.keys, connection.now_ms()


def test_the_sweep_goes_on_after_the_clock_of_redis_was_set_back(set_back: System) -> None:
    client, keys, now_ms = _redis(set_back)
    assert set_back.wiring.store.leases.elected("tick", 500)
    sweep(set_back.wiring)
    soon_ms = now_ms + 60_000 + set_back.wiring.store.trash.look_again_ms
    for name in ("due", "doomed", "healing"):
        assert not client.zcount(keys.of(name), f"({soon_ms}", "+inf"), name
    assert not client.zcount(keys.of("heal", SHOP), f"({soon_ms}", "+inf")
    assert int(float(client.hget(keys.of("attempts"), f"doomed {SHOP} until"))) < soon_ms
    lives_ms = {
        name: client.pttl(keys.of(name)) for name in ("gc:retry", "reconcile:pause", "reconcile:sent", "change_limit")
    }
    assert max(lives_ms.values()) < 60_000, lives_ms
    assert client.pttl(keys.of("lease", COLLECT)) <= COLLECT_MS
    assert client.zscore(keys.of("workers"), "dead") <= soon_ms


def test_a_writer_that_may_live_keeps_its_stay_when_the_clock_of_redis_is_set_back(set_back: System) -> None:
    client, keys, now_ms = _redis(set_back)
    client.zadd(keys.of("writers"), {"alive": now_ms + COLLECT_MS})
    sweep(set_back.wiring)
    assert client.zscore(keys.of("writers"), "alive") == now_ms + COLLECT_MS
    assert now_ms + COLLECT_MS < client.zscore(keys.of("writers"), "dead") < now_ms + UNANSWERED_MS + 60_000


def test_a_clock_that_was_set_back_is_reported_for_an_hour(set_back: System, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(set_back.wiring)
    (trouble,) = set_back.wiring.store.outbox.troubles()
    assert (trouble.about, trouble.message) == (
        "redis clock",
        "the clock of Redis was set back by 3600 s: leases and waiting times were shortened by as much. "
        "Keep that clock right by NTP",
    )
    sweep(set_back.wiring)
    assert set_back.wiring.store.outbox.troubles() == (trouble,)
    monkeypatch.setattr("workers.sweep.now_us", lambda: now_us() + 3601 * 1_000_000)
    sweep(set_back.wiring)
    assert set_back.wiring.store.outbox.troubles() == ()


def test_a_clock_that_goes_on_is_not_said_to_be_set_back(make_system: Make) -> None:
    system = make_system(keep_last(1))
    assert [system.store.leases.follow_clock() for _ in range(3)] == [0, 0, 0]
