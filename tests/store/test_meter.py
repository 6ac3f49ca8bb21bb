"""Counters and times: once in Redis, they are the same for all processes."""

import threading
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.domain.errors import StoreUnavailable
from service.store.connection import Connection
from service.store.keys import Keys
from service.store.meter import Meter
from tests.fakes.valkey import free_port


def test_counts_of_several_processes_are_added_up(connection: Connection) -> None:
    first, second = Meter(connection), Meter(connection)
    first.count("plans", "none", 2)
    second.count("plans", "none")
    second.count("plans", "doomed")
    assert first.read().counts == {}, "not flushed yet"
    for meter in (first, second, first, second):
        meter.flush()
    assert first.read().counts == second.read().counts == {("plans", "none"): 3, ("plans", "doomed"): 1}


def test_a_duration_falls_into_the_bucket_of_its_length(connection: Connection) -> None:
    meter = Meter(connection)
    for seconds in (0.1, 0.1001, 299.0, 301.0):
        meter.time("push_to_deletion", "", seconds)
    meter.flush()
    timing = meter.read().timings["push_to_deletion", ""]
    assert {end: count for end, count in timing.counts.items() if count} == {0.1: 1, 0.15: 1, 300: 1}
    assert (timing.more, round(timing.sum_s, 4)) == (1, 600.2001)


def test_labels_are_kept_apart(connection: Connection) -> None:
    meter = Meter(connection)
    meter.time("registry_request", "GET 200", 0.002)
    meter.time("registry_request", "DELETE none", 99.0)
    meter.flush()
    timings = meter.read().timings
    assert timings.keys() == {("registry_request", "GET 200"), ("registry_request", "DELETE none")}
    assert timings["registry_request", "GET 200"].counts[0.0025] == 1
    assert timings["registry_request", "DELETE none"].more == 1


def test_nothing_is_lost_while_redis_is_away(connection: Connection) -> None:
    meter = Meter(
        Connection(redis.Redis(port=free_port(), decode_responses=True, retry=Retry(NoBackoff(), 0)), Keys("away:"))
    )
    meter.count("failures", "due")
    meter.time("gate_wait", "passed", 0.3)
    meter.flush()
    meter.count("failures", "due")
    with pytest.raises(StoreUnavailable):
        meter.read()
    meter._connection = connection
    meter.flush()
    result = meter.read()
    assert result.counts == {("failures", "due"): 2}
    assert result.timings["gate_wait", "passed"].sum_s == pytest.approx(0.3)


class Late(redis.Redis):
    """A connection that executes a script and loses the answer, as often as `times` says."""

    times = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        execute: Any = super().execute_command
        answer = execute(*args, **options)
        if args[0] == "EVALSHA" and self.times:
            self.times -= 1
            raise redis.TimeoutError("Timeout reading from socket")
        return answer


def test_a_flush_that_redis_answers_too_late_is_added_once(connection: Connection) -> None:
    client = Late(connection_pool=connection.client.connection_pool)
    late = Connection(client, connection.keys)
    meter = Meter(late)
    meter.count("plans", "none")
    meter.time("gate_wait", "passed", 0.3)
    meter.flush()
    client.times = 2
    for _ in range(3):
        meter.count("plans", "none")
        meter.time("gate_wait", "passed", 0.3)
        meter.flush()
        late._silent_until_s = None
    meter.flush()
    result = meter.read()
    assert result.counts == {("plans", "none"): 4}
    assert result.timings["gate_wait", "passed"].sum_s == pytest.approx(1.2)


def test_threads_may_count_at_once(connection: Connection) -> None:
    meter = Meter(connection)

    def work() -> None:
        for _ in range(200):
            meter.count("deletes", "spared")
            meter.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.read().counts == {("deletes", "spared"): 800}
