"""Counts of history entries by kind and by interval of time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from service.domain.history.entry import EventCount
from service.store.connection import Connection

# A script blocks Redis while it runs: between two calls, Redis can serve other clients.
_AT_ONCE = 500


@dataclass
class _Known:
    """The counts from since_ms up to the entry `newest`, inclusive."""

    since_ms: int
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    newest: str = ""
    is_whole: bool = True


class EventCounts:
    """Counts of history entries. Raises StoreUnavailable when Redis is away.

    Earlier counts are remembered, so that only newer entries are read.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        self._known: dict[int, _Known] = {}

    def since(self, since_ms: int, stretch_ms: int, at_most: int = 100_000) -> EventCount:
        """Return the counts since `since_ms`, in intervals of `stretch_ms`. at_most: number of entries to read."""
        with self._lock:
            known = self._known.get(stretch_ms)
            if known is None or known.since_ms > since_ms:
                known = _Known(since_ms)
            self._count(known, stretch_ms, at_most)
            known.counts = {
                begins_ms: of for begins_ms, of in known.counts.items() if begins_ms + stretch_ms > since_ms
            }
            known.since_ms = since_ms
            self._known[stretch_ms] = known
            return EventCount({begins_ms: dict(of) for begins_ms, of in known.counts.items()}, known.is_whole)

    def _count(self, known: _Known, stretch_ms: int, at_most: int) -> None:
        """Add the newer entries; change nothing if Redis fails meanwhile."""
        after, before, newest, read = f"({known.newest}" if known.newest else str(known.since_ms), "+", "", 0
        rows: list[Sequence[str]] = []
        is_whole = False
        while read < at_most and not is_whole:
            seen, first, before, *counted = self._connection.run(
                "count_events", after=after, before=before, interval_ms=stretch_ms, maximum=_AT_ONCE
            )
            rows += zip(counted[::3], counted[1::3], counted[2::3], strict=True)
            newest, read, is_whole = newest or first, read + int(seen), int(seen) < _AT_ONCE
        # All reads are over: a failure before this line has changed nothing.
        for begins_ms, action, count in rows:
            actions = known.counts.setdefault(int(begins_ms), {})
            actions[action] = actions.get(action, 0) + int(count)
        known.newest, known.is_whole = newest or known.newest, known.is_whole and is_whole
