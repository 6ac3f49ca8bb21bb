"""What a monitor wants to know, read from Redis in one go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.store.connection import Connection
from service.store.outbox import LONGEST_WAIT_MS

WORKER_SILENT_MS = 10_000

_QUEUES = ("due", "doomed", "healing")


@dataclass(frozen=True, slots=True)
class Reading:
    """Redis' figures at one moment.

    counters: as in the key `counters`, since the beginning. waiting: queue → repositories in it, without those that
    time alone will make due later. oldest_s: seconds by which the most overdue entry of all queues is late. workers:
    those that gave a sign of life within 10 s. troubles: things that an operator must mend. repositories: those
    anything is known of. last_event_ms: when the newest entry of the history was written, None while there is none.
    late_s: as oldest_s, for each queue.
    """

    counters: Mapping[str, int]
    waiting: Mapping[str, int]
    oldest_s: float
    workers: int
    troubles: int
    repositories: int
    last_event_ms: int | None
    late_s: Mapping[str, float] = field(default_factory=dict)


class Figures:
    """The figures in Redis. Raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._of = connection.keys.of

    def read(self) -> Reading:
        """All figures at one moment, by the clock of Redis; the cost does not grow with what is known."""
        now_ms = self._connection.now_ms()
        with self._connection.reached() as client, client.pipeline() as pipe:
            for name in ("generation", "trouble"):
                pipe.hlen(self._of(name))
            pipe.hgetall(self._of("counters"))
            pipe.zcount(self._of("workers"), now_ms - WORKER_SILENT_MS, "+inf")
            pipe.xrevrange(self._of("events"), count=1)
            for queue in _QUEUES:
                pipe.zcount(self._of(queue), "-inf", now_ms + LONGEST_WAIT_MS)
                pipe.zrange(self._of(queue), 0, 0, withscores=True)
            repositories, troubles, counters, workers, events, *queues = pipe.execute()
        return Reading(
            counters={name: int(count) for name, count in counters.items()},
            waiting=dict(zip(_QUEUES, queues[::2], strict=True)),
            oldest_s=_oldest_s(queues[1::2], now_ms),
            workers=workers,
            troubles=troubles,
            repositories=repositories,
            last_event_ms=int(events[0][0].partition("-")[0]) if events else None,
            late_s={queue: _oldest_s([first], now_ms) for queue, first in zip(_QUEUES, queues[1::2], strict=True)},
        )

    def last_rejected(self) -> tuple[int, str] | None:
        """When an event last could not be understood (ms), and why; None where that never happened."""
        with self._connection.reached() as client:
            rows = client.xrevrange(self._of("rejected"), count=1)
        return (int(rows[0][0].partition("-")[0]), str(rows[0][1].get("reason", ""))) if rows else None

    def trashed(self) -> int:
        """How many deleted manifests can still be put back."""
        with self._connection.reached() as client:
            return int(client.zcard(self._of("trashed")))


def _oldest_s(firsts: Iterable[list[tuple[str, float]]], now_ms: int) -> float:
    """firsts: the first entry of each queue, if it has one, with the time (ms) at which the sweep sends it again."""
    late_ms = [now_ms - again_ms for first in firsts for _, again_ms in first]
    return max([0.0, *late_ms]) / 1000
