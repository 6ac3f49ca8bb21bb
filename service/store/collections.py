"""Collections in Redis: when one is wanted, and the record of those that ran."""

import time
from collections.abc import Mapping
from dataclasses import asdict

from service.domain.collection import Run
from service.store.connection import Connection
from service.store.outbox import RESEND_MS


class Collections:
    """gc:* in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, runs_kept: int = 1000) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._runs_kept = runs_kept

    def request(self, reason: str) -> None:
        """Wants a collection soon; the sweep has it made."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:due"), reason)
            client.delete(self._keys.of("gc:retry"))

    def wanted(self) -> str | None:
        """Why a collection is wanted, or None."""
        with self._connection.reached() as client:
            reason: str | None = client.get(self._keys.of("gc:due"))
        return reason

    def overdue(self) -> bool:
        """Whether a wanted collection should be asked for now; if so, the next answer is yes only after a while."""
        with self._connection.reached() as client:
            if not client.exists(self._keys.of("gc:due")):
                return False
            return bool(client.set(self._keys.of("gc:retry"), "1", nx=True, px=RESEND_MS))

    def put_off(self, wait_s: float) -> None:
        """Asks for the wanted collection again only after a while."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:retry"), "1", px=int(wait_s * 1000))

    def began(self) -> int:
        """Remembers how many deletes this collection covers; returns it."""
        with self._connection.reached() as client:
            return int(client.get(self._keys.of("gc:deletes")) or 0)

    def collected(self, reason: str, deletes: int) -> None:
        """A collection was made for `reason` that covers so many deletes; another reason that came meanwhile stands."""
        keys = [self._keys.of(name) for name in ("gc:due", "gc:retry", "gc:deletes")]
        self._connection.script("collected", keys, [reason, deletes])

    def record(self, run: Run) -> None:
        fields = {name: "" if value is None else str(value) for name, value in asdict(run).items()}
        with self._connection.reached() as client:
            client.xadd(self._keys.of("gc:runs"), fields, maxlen=self._runs_kept)

    def runs(self, count: int = 20) -> tuple[Run, ...]:
        """The newest runs first."""
        with self._connection.reached() as client:
            rows = client.xrevrange(self._keys.of("gc:runs"), count=count)
        return tuple(_run(fields) for _, fields in rows)

    def scheduled(self, now_ms: int) -> int:
        """The last time (ms) a schedule was looked at; `now_ms` is noted when there was none."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:scheduled"), now_ms, nx=True)
            return int(client.get(self._keys.of("gc:scheduled")) or now_ms)

    def take_schedule(self, now_ms: int) -> None:
        """Notes that the schedule was followed at `now_ms`."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:scheduled"), now_ms)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _run(fields: Mapping[str, str]) -> Run:
    def number(name: str) -> int:
        return int(fields[name] or 0)

    def maybe(name: str) -> int | None:
        return int(fields[name]) if fields[name] else None

    return Run(
        started_ms=number("started_ms"), ended_ms=number("ended_ms"), result=fields["result"],
        reason=fields["reason"], exit_code=maybe("exit_code"), marked=number("marked"), blobs=number("blobs"),
        manifests=number("manifests"), bytes_freed=maybe("bytes_freed"), message=fields["message"],
    )  # fmt: skip
