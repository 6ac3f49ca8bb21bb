"""Past garbage collections in Redis: their results, their outputs and their totals."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from service.domain.collection.run import Run, Totals
from service.store.connection import Connection

NUMBERS_OF_RUN = frozenset(field.name for field in fields(Run)) - {"result", "reason", "message", "gate", "note"}
_LOGS = 20
# In base64. Redis must never be full of logs: it could not record events then.
_LOGS_BYTES = 16 * 1024 * 1024


class CollectionRuns:
    """gc:runs, gc:logs and gc:totals in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, kept: int = 1000) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._kept = kept

    def record(self, run: Run, *, once: bool = False, wait_s: float = 0) -> bool:
        """Record a run.

        Args:
            once: record the same message only once per request; further times are only counted.
            wait_s: seconds until the next attempt, 0 to change nothing.

        Returns:
            False if the run was only counted.
        """
        fields = [text for name, value in asdict(run).items() for text in (name, "" if value is None else str(value))]
        recorded = self._connection.run(
            "record_run",
            runs_kept=self._kept,
            result=run.result,
            message=run.message,
            once=once,
            retry_ms=int(wait_s * 1000),
            blobs=run.blobs,
            bytes=run.bytes_freed or 0,
            ended_ms=run.ended_ms,
            took_ms=run.ended_ms - run.started_ms,
            fields=fields,
        )
        return bool(recorded)

    def latest(self, count: int = 20) -> tuple[Run, ...]:
        """Return the latest runs, newest first."""
        rows = self._connection.redis.xrevrange(self._keys.of("gc:runs"), count=count)
        return tuple(_run(row) for _, row in rows)

    def after(self, identifier: str, count: int = 100) -> tuple[tuple[str, Run], ...]:
        """Return the runs that were recorded after the entry `identifier` of gc:runs, each with its id there."""
        rows = self._connection.redis.xrange(self._keys.of("gc:runs"), min=f"({identifier}", count=count)
        return tuple((name, _run(row)) for name, row in rows)

    def keep_log(self, started_ms: int, file: bytes) -> None:
        """Keep the output of garbage-collect, a gzip file, in the run that began at `started_ms`."""
        if file:
            log = base64.b64encode(file).decode()
            self._connection.run("keep_log", started_ms=started_ms, log=log, logs=_LOGS, most_bytes=_LOGS_BYTES)

    def log(self, started_ms: int) -> bytes | None:
        """Return the output of the run that began at `started_ms` as a gzip file, None if it is not kept."""
        log = self._connection.redis.hget(self._keys.of("gc:logs"), str(started_ms))
        return base64.b64decode(log) if log else None

    def totals(self) -> Totals:
        """Return the totals of all runs since the installation of pushprune."""
        known = self._connection.redis.hgetall(self._keys.of("gc:totals"))
        runs = {name.removeprefix("runs "): int(count) for name, count in known.items() if name.startswith("runs ")}
        done_ms, took_ms = (int(known[name]) if name in known else None for name in ("done_ms", "took_ms"))
        return Totals(runs, int(known.get("blobs", 0)), int(known.get("bytes", 0)), done_ms, took_ms)


def _run(row: Mapping[str, str]) -> Run:
    """Return the run behind a row of gc:runs. A row of an older version of pushprune lacks the newer fields."""
    values: dict[str, Any] = {
        field.name: int(row[field.name]) if field.name in NUMBERS_OF_RUN else row[field.name]
        for field in fields(Run)
        if row.get(field.name)
    }
    return Run(**{"started_ms": 0, "ended_ms": 0, "result": "", "reason": "", **values})
