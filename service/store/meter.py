"""Counters and timings: collected in each process, and added up in Redis from time to time."""

import threading
from collections.abc import Mapping
from contextlib import suppress

from service.domain.errors import StoreUnavailable
from service.domain.metrics import COUNTED, TIMED, Metered, Timing
from service.store.connection import Connection, new_token

_SUM, _MORE = "sum", "inf"
_DAY_S = 86_400


class Meter:
    """The counters and timings of this process. Safe for threads.

    Counts since the last `flush` are lost if the process dies.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._sums: dict[str, float] = {}
        self._flushing = threading.Lock()
        self._process = ""
        self._number = 0
        # What was sent under `_number` and not answered yet.
        self._sent: tuple[Mapping[str, int], Mapping[str, float]] = {}, {}

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
        """Add the counts to those in Redis, each once; when Redis does not answer, the next flush does it."""
        with self._flushing, suppress(StoreUnavailable):
            # Redis may have added what it did not answer in time: it is sent again as it was.
            self._send()
            # Only the swap holds the lock: counting must not wait for Redis.
            with self._lock:
                self._sent = self._counts, self._sums
                self._counts, self._sums = {}, {}
            self._number += 1
            self._send()

    def _send(self) -> None:
        counts, sums = self._sent
        if not counts:
            return
        # Not before the first flush: a process that is forked has a name of its own.
        self._process = self._process or new_token()
        self._connection.run(
            "add_counts",
            NAME=self._process,
            number=self._number,
            life_s=_DAY_S,
            counts=[{"name": name, "by": by} for name, by in counts.items()],
            sums=[{"name": name, "by": f"{seconds:.6f}"} for name, seconds in sums.items()],
        )
        self._sent = {}, {}

    def read(self) -> Metered:
        """Return the flushed counts and timings of all processes. Raises StoreUnavailable when Redis is away."""
        fields = self._connection.redis.hgetall(self._connection.keys.of("meter"))
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
