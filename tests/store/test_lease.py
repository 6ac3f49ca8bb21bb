"""Leases: one holder at a time, renewed, fenced; and writers, which a collection waits for."""

import threading
import time

import pytest

from service.clock import elapsed_s
from service.domain.errors import LeaseLost, RegistryUnavailable, StoreUnavailable
from service.store.connection import Connection
from service.store.lease import COLLECT, COLLECT_MS, LONGEST_MS, WORK_MS, Lease, Leases
from tests.support.waiting import until

# Long enough that a busy machine, or one that stands still for seconds, renews in time.
LIFE_MS = 10_000


def wait_for_renewal(lease: Lease) -> None:
    """Return when the lease was renewed, or is lost."""
    renewed_s = lease._renewed
    until(lambda: lease._renewed > renewed_s or lease.lost.is_set())


@pytest.mark.slow
def test_a_lease_outlives_its_time_while_it_is_renewed(leases: Leases, connection: Connection) -> None:
    with leases.hold("x", LIFE_MS) as lease:
        assert lease is not None
        key = connection.keys.of("lease", "x")
        connection.client.pexpire(key, LIFE_MS - 3000)
        wait_for_renewal(lease)
        assert lease.valid
        until(lambda: connection.client.pttl(key) > LIFE_MS - 3000)


def test_a_lease_that_outlasts_every_lease_is_cut_so_that_the_clock_of_redis_may_be_set_back(
    leases: Leases, connection: Connection
) -> None:
    """The holder is not driven out: it has as long as if it had renewed its lease right now."""
    key = connection.keys.of("lease", "x")
    connection.client.set(key, "somebody", px=3_600_000)
    with leases.hold("x", WORK_MS) as lease:
        assert lease is None
    assert 0 < connection.client.pttl(key) <= LONGEST_MS


def test_a_lease_of_the_usual_length_is_not_cut_by_those_who_wait_for_it(
    leases: Leases, connection: Connection
) -> None:
    key = connection.keys.of("lease", COLLECT)
    connection.client.set(key, "somebody", px=COLLECT_MS)
    with leases.hold(COLLECT, 200) as lease:
        assert lease is None
    assert connection.client.pttl(key) > 1000


def test_a_time_slot_is_given_once_also_where_the_clock_of_redis_was_set_back(
    leases: Leases, connection: Connection
) -> None:
    connection.client.set(connection.keys.of("lease", "x"), "somebody", px=3_600_000)
    assert [leases.elected("x", 10_000), leases.elected("x", 10_000)] == [True, False]


def test_a_lease_that_another_holder_took_is_known_to_be_lost(leases: Leases, connection: Connection) -> None:
    with leases.hold("x", 200) as lease:
        assert lease is not None
        connection.client.set(connection.keys.of("lease", "x"), "another")
        until(lambda: not lease.valid)
        with pytest.raises(LeaseLost):
            lease.check()
    assert connection.client.get(connection.keys.of("lease", "x")) == "another", "it took away what was not its own"
    connection.client.delete(connection.keys.of("lease", "x"))


def test_a_holder_that_cannot_reach_redis_stops_before_its_lease_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> bool:
        raise_from_redis()
        return True

    def raise_from_redis() -> None:
        raise StoreUnavailable("away")

    lost = Lease("x", 1, 400, away)
    until(lost.lost.is_set)
    lost.stop()
    ends_s = elapsed_s() + 60
    lease = Lease("x", 1, 60_000, away)
    assert lease.valid
    with monkeypatch.context() as patch:
        patch.setattr("service.store.lease.elapsed_s", lambda: ends_s - 15)
        assert not lease.valid
    lease.stop()


def test_a_lease_ends_while_its_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    lease, suspended_s = Lease("x", 1, 60_000, lambda: True), 0
    real = time.clock_gettime
    # A suspended machine's monotonic clock stands still.
    monkeypatch.setattr(
        "service.clock.time.clock_gettime", lambda clock: real(clock) + (clock == time.CLOCK_BOOTTIME) * suspended_s
    )
    assert lease.valid
    suspended_s = 3600
    assert not lease.valid
    lease.stop()


def test_only_one_of_many_threads_gets_the_lease(leases: Leases) -> None:
    won, start, done = [], threading.Barrier(8), threading.Barrier(8)

    def want() -> None:
        start.wait()
        with leases.hold("x") as lease:
            if lease:
                won.append(lease.fence)
            done.wait()

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_collection_sees_who_is_still_writing(leases: Leases) -> None:
    with leases.write() as permit:
        assert permit is not None
        with leases.hold(COLLECT) as collect:
            assert collect is not None
            assert leases.writers() == 1
    assert leases.writers() == 0


def test_a_writer_that_died_is_not_waited_for_for_ever(leases: Leases, connection: Connection) -> None:
    connection.client.zadd(connection.keys.of("writers"), {"dead": time.time() * 1000 - 1})
    assert leases.writers() == 0


@pytest.mark.slow
def test_a_writer_keeps_its_right_while_a_collection_waits_for_it(leases: Leases) -> None:
    with leases.write(LIFE_MS) as permit, leases.hold(COLLECT) as collect:
        assert permit is not None
        assert collect is not None
        wait_for_renewal(permit)
        assert permit.valid
        assert leases.writers() == 1


@pytest.mark.parametrize("is_over", [True, False])
def test_a_write_that_was_not_answered_may_still_be_at_work(leases: Leases, is_over: bool) -> None:
    def write() -> None:
        with leases.write() as permit:
            assert permit is not None
            with permit.writing():
                raise RegistryUnavailable("no answer", is_over=is_over)

    with pytest.raises(RegistryUnavailable):
        write()
    assert leases.writers() == (0 if is_over else 1)
