"""The figures for monitoring, read from Redis in one round trip."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.store.connection import Connection
from service.store.keys import entry_ms
from service.store.outbox import LONGEST_WAIT_MS, unpack_worker

WORKER_SILENT_MS = 10_000

_QUEUES = ("due", "doomed", "healing")
# The counters of events that a registry sent, whatever they were about.
_SENT = frozenset({"push", "pull", "mount", "delete", "blob", "own", "duplicate", "rejected"})


@dataclass(frozen=True, slots=True)
class StatsSnapshot:
    """The figures in Redis at one moment.

    Attributes:
        counters: as in the key `counters`, since the beginning.
        waiting: queue → repositories in it, without those that only time will make due later.
        workers: the worker processes that gave a sign of life within 10 s.
        consumers: queue of messages → the workers that consume it.
        repositories: the number of known repositories.
        last_event_ms: when the newest entry of the history was written, None while there is none.
        late_s: queue → for how many seconds its most overdue work has waited, 0 for none. Resending does not reset it.
        now_ms: the clock of Redis.
    """

    counters: Mapping[str, int]
    waiting: Mapping[str, int]
    workers: int
    consumers: Mapping[str, int]
    repositories: int
    last_event_ms: int | None
    late_s: Mapping[str, float]
    now_ms: int

    @property
    def is_notified(self) -> bool:
        """Return True if a registry has sent at least one event. Comparisons with the registry write entries, too."""
        return any(self.counters.get(name) for name in _SENT)

    @property
    def oldest_s(self) -> float:
        """Return for how many seconds the most overdue work of all queues has waited."""
        return max(self.late_s.values(), default=0.0)


class Stats:
    """The figures in Redis. Raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._of = connection.keys.of

    def read(self) -> StatsSnapshot:
        """Return all figures at one moment, by the clock of Redis. The cost does not grow with the history."""
        now_ms = self._connection.now_ms()
        with self._connection.redis.pipeline() as pipe:
            pipe.hlen(self._of("generation"))
            pipe.hgetall(self._of("counters"))
            pipe.zrangebyscore(self._of("workers"), now_ms - WORKER_SILENT_MS, "+inf")
            pipe.xrevrange(self._of("events"), count=1)
            for queue in _QUEUES:
                # Work that only time makes due later (a grace, an age) does not count; work that backs off does.
                pipe.zcount(self._of(queue), "-inf", now_ms + LONGEST_WAIT_MS)
                for key in (self._of(queue), self._of("late", queue)):
                    pipe.zrange(key, 0, 0, withscores=True)
            repositories, counters, workers, events, *queues = pipe.execute()
        firsts = (queue + late for queue, late in zip(queues[1::3], queues[2::3], strict=True))
        return StatsSnapshot(
            counters={name: int(count) for name, count in counters.items()},
            waiting=dict(zip(_QUEUES, queues[::3], strict=True)),
            workers=len(workers),
            consumers=Counter(queue for member in workers for queue in unpack_worker(member, now_ms).queues),
            repositories=repositories,
            last_event_ms=entry_ms(events[0][0]) if events else None,
            late_s={queue: _late_s(first, now_ms) for queue, first in zip(_QUEUES, firsts, strict=True)},
            now_ms=now_ms,
        )

    def trashed(self, before_us: int | None = None) -> int:
        """Return the number of deleted manifests that can still be restored. before_us: only those deleted before."""
        return int(
            self._connection.redis.zcount(self._of("trashed"), "-inf", "+inf" if before_us is None else before_us)
        )


def _late_s(firsts: Iterable[tuple[str, float]], now_ms: int) -> float:
    """Return for how many seconds the most overdue of these members has waited. firsts: each with its time (ms)."""
    return max([0.0, *(now_ms - at_ms for _, at_ms in firsts)]) / 1000
