"""Counters and timings: collected in each process, and added up in Redis from time to time."""

import threading

from service.domain.errors import StoreUnavailable
from service.domain.metrics import COUNTED, TIMED, Metered, Timing
from service.store.connection import Connection

_SUM, _MORE = "sum", "inf"


class Meter:
    """The counters and timings of this process. Safe for threads.

    Counts since the last `flush` are lost if the process dies.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._sums: dict[str, float] = {}

    def count(self, name: str, label: str, by: int = 1) -> None:
        """Add to a counter. name: one of COUNTED."""
        self._add(_field(name, label), by)

    def time(self, name: str, label: str, seconds: float) -> None:
        """Add one measurement to a timing. name: one of TIMED."""
        end = next((end for end in TIMED[name] if seconds <= end), None)
        sums = _field(name, label, _SUM)
        self._add(_field(name, label, _MORE if end is None else f"{end:g}"))
        with self._lock:
            self._sums[sums] = self._sums.get(sums, 0.0) + seconds

    def flush(self) -> None:
        """Add the counts to those in Redis; when Redis is away, keep them for the next flush."""
        # Only the swap holds the lock: counting must not wait for Redis.
        with self._lock:
            counts, self._counts = self._counts, {}
            sums, self._sums = self._sums, {}
        if not counts:
            return
        key = self._connection.keys.of("meter")
        try:
            with self._connection.reached() as client, client.pipeline() as pipe:
                for name, by in counts.items():
                    pipe.hincrby(key, name, by)
                for name, seconds in sums.items():
                    pipe.hincrbyfloat(key, name, round(seconds, 6))
                pipe.execute()
        except StoreUnavailable:
            # Other threads may have counted meanwhile, so add and do not replace.
            with self._lock:
                for name, by in counts.items():
                    self._counts[name] = self._counts.get(name, 0) + by
                for name, seconds in sums.items():
                    self._sums[name] = self._sums.get(name, 0.0) + seconds

    def read(self) -> Metered:
        """Return the flushed counts and timings of all processes. Raises StoreUnavailable when Redis is away."""
        with self._connection.reached() as client:
            fields = client.hgetall(self._connection.keys.of("meter"))
        counts: dict[tuple[str, str], int] = {}
        timings: dict[tuple[str, str], Timing] = {}
        for text, value in fields.items():
            name, label, end = (*text.split(":"), "", "")[:3]
            if name in COUNTED:
                counts[name, label] = int(value)
            elif name in TIMED:
                _note(timings.setdefault((name, label), Timing(dict.fromkeys(TIMED[name], 0))), end, value)
        return Metered(counts, timings)

    def _add(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + by


def _field(*parts: str) -> str:
    return ":".join(parts)


def _note(timing: Timing, end: str, value: str) -> None:
    if end == _SUM:
        timing.sum_s = float(value)
    elif end == _MORE:
        timing.more = int(value)
    elif float(end) in timing.counts:
        timing.counts[float(end)] = int(value)
