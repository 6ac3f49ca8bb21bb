"""Figures for a monitor, at one moment, by the clock of Redis."""

import pytest

from service.domain.errors import StoreUnavailable
from service.store.connection import Connection, connect
from service.store.history import History
from service.store.keys import Keys
from service.store.outbox import Outbox
from service.store.stats import Stats, StatsSnapshot
from tests.support.makers import blob_event, event, understood


@pytest.fixture
def figures(connection: Connection) -> Stats:
    return Stats(connection)


def test_nothing_is_known_at_first(figures: Stats) -> None:
    waiting = {"due": 0, "doomed": 0, "healing": 0}
    reading = figures.read()
    assert reading == StatsSnapshot({}, waiting, 0, {}, 0, None, dict.fromkeys(waiting, 0.0), reading.now_ms)
    assert reading.oldest_s == 0.0


def test_the_recorded_figures_are_read(figures: Stats, connection: Connection) -> None:
    before_ms = connection.now_ms()
    History(connection).record(understood(event(), event(repository="shop/web"), event("pull"), event()))
    reading = figures.read()
    assert (reading.counters["push"], reading.counters["pull"], reading.counters["duplicate"]) == (2, 1, 1)
    assert (reading.repositories, reading.waiting["due"]) == (2, 2)
    assert reading.last_event_ms is not None
    assert before_ms <= reading.last_event_ms <= connection.now_ms()


def test_pushes_of_layers_and_configs_are_counted_apart(figures: Stats, connection: Connection) -> None:
    """878 pushes were shown where 376 images had been pushed."""
    layers = (blob_event(at=number) for number in (1, 2, 3))
    History(connection).record(understood(*layers, blob_event("mount", at=4), event(at=5)))
    counters = figures.read().counters
    assert (counters["push"], counters["blob push"], counters["blob mount"], counters["blob"]) == (1, 3, 1, 4)
    assert Outbox(connection).pushes() == 5, "a collection minds every one of them"


def test_work_before_its_time_is_not_late(figures: Stats, connection: Connection) -> None:
    connection.client.zadd(connection.keys.of("due"), {"shop/api": connection.now_ms() + 30_000})
    reading = figures.read()
    assert (reading.waiting["due"], reading.oldest_s) == (1, 0.0)


def test_a_repository_that_time_makes_due_later_does_not_wait(figures: Stats, connection: Connection) -> None:
    later = {"shop/api": connection.now_ms() + 3_600_000, "shop/web": connection.now_ms() + 30_000}
    connection.client.zadd(connection.keys.of("due"), later)
    assert figures.read().waiting["due"] == Outbox(connection).backlog().due == 1


@pytest.mark.parametrize("queue", ["due", "doomed", "healing"])
def test_the_most_overdue_of_any_queue_is_the_oldest(figures: Stats, connection: Connection, queue: str) -> None:
    now_ms, key = connection.now_ms(), connection.keys.of(queue)
    connection.client.zadd(connection.keys.of("due"), {"other": now_ms - 5_000})
    connection.client.zadd(key, {"shop/api": now_ms - 90_000, "shop/web": now_ms - 1_000})
    reading = figures.read()
    assert 90 <= reading.oldest_s < 100
    assert reading.late_s[queue] == reading.oldest_s
    assert max(late_s for name, late_s in reading.late_s.items() if name != queue) < 10


def test_sending_again_does_not_make_work_less_late(figures: Stats, connection: Connection) -> None:
    outbox, client = Outbox(connection), connection.client
    client.zadd(connection.keys.of("due"), {"shop/api": connection.now_ms() - 90_000})
    assert outbox.overdue("due") == ("shop/api",)
    assert outbox.overdue("due") == (), "it was sent, and is sent again later"
    assert 90 <= figures.read().late_s["due"] < 100
    outbox.postpone("due", "shop/api")
    assert 90 <= figures.read().late_s["due"] < 100, "a back-off is no progress"
    outbox.note_trouble("due shop/api", "the registry refuses")
    outbox.succeeded("due", "shop/api")
    assert figures.read().late_s["due"] == 0
    assert not outbox.backing_off("due", "shop/api")
    assert outbox.troubles() == ()


@pytest.mark.parametrize("later_s", [None, 3600])
def test_work_that_left_its_queue_or_waits_for_a_later_time_is_not_late(
    figures: Stats, connection: Connection, later_s: int | None
) -> None:
    """A worker that died between its plan and the note of its progress changes nothing."""
    outbox, client, due = Outbox(connection), connection.client, connection.keys.of("due")
    client.zadd(due, {"shop/api": connection.now_ms() - 90_000})
    outbox.overdue("due")
    client.zrem(due, "shop/api")
    if later_s:
        client.zadd(due, {"shop/api": connection.now_ms() + later_s * 1000})
    outbox.overdue("due")
    assert figures.read().late_s["due"] == 0


def test_only_workers_that_live_count(figures: Stats, connection: Connection) -> None:
    outbox = Outbox(connection)
    outbox.sign_of_life("worker-1@host", ("enforce", "delete"), "1-a")
    silent = {"worker-2@host 2-b enforce": connection.now_ms() - 11_000}
    connection.client.zadd(connection.keys.of("workers"), silent)
    reading = figures.read()
    assert reading.workers == outbox.workers() == 1
    assert reading.consumers == {"enforce": 1, "delete": 1}
    assert [(worker.name, worker.queues) for worker in outbox.signs()] == [
        ("worker-1@host", ("enforce", "delete")),
        ("worker-2@host", ("enforce",)),
    ]


def test_without_redis_there_is_none() -> None:
    with pytest.raises(StoreUnavailable):
        Stats(Connection(connect("redis://127.0.0.1:1/0"), Keys("x:"))).read()
