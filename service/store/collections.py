"""Collections in Redis: when one is wanted, what one is at, and the record of those that ran."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, fields

from service.domain.collection.run import Probe, Rehearsal, Run, Sweep, Totals, Under, Wait
from service.store.connection import Connection
from service.store.outbox import RESEND_MS

_STATE_MS = 15_000
_WISH_MS = 3_600_000
_REHEARSAL_S = 86_400
_REHEARSED_AT_MOST = 10_000
_OUTPUTS = 20


class Collections:
    """gc:* in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, runs_kept: int = 1000) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._runs_kept = runs_kept

    def request(self, reason: str) -> None:
        """Wants a collection now, for this reason instead of any other; the sweep has it made."""
        self._request("gc:due", reason, 0)

    def request_rehearsal(self, reason: str) -> None:
        """Wants a dry run, and nothing more."""
        self._request("gc:dry", reason, _WISH_MS)

    def cancel(self) -> str | None:
        """Drop the wanted collection; returns why it was wanted, None where none was."""
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.get(self._keys.of("gc:due"))
            pipe.delete(self._keys.of("gc:due"), self._keys.of("gc:waiting"))
            reason, _ = pipe.execute()
        return str(reason) if reason else None

    def want(self, reason: str) -> None:
        """Wants a collection soon, unless one is wanted already."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:due"), reason, nx=True)

    def wanted(self) -> str | None:
        """Why a collection is wanted, or None."""
        return self._text("gc:due")

    def rehearsal_wanted(self) -> str | None:
        """Why a dry run is wanted, or None."""
        return self._text("gc:dry")

    def overdue(self) -> bool:
        """Whether what is wanted should be asked for now; if so, the next answer is yes only after a while."""
        waiting = [self._keys.of(name) for name in ("gc:due", "gc:dry", "gc:readonly")]
        with self._connection.reached() as client:
            if not client.exists(*waiting):
                return False
            return bool(client.set(self._keys.of("gc:retry"), "1", nx=True, px=RESEND_MS))

    def put_off(self, wait_s: float) -> None:
        """Asks for what is wanted again only after a while."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:retry"), "1", px=int(wait_s * 1000))

    def began(self) -> tuple[int, int]:
        """How many deletions a collection that begins now covers, and the bytes that they came to."""
        with self._connection.reached() as client:
            deletes, size_bytes = client.mget([self._keys.of("gc:deletes"), self._keys.of("gc:bytes")])
        return int(deletes or 0), int(size_bytes or 0)

    def collected(self, reason: str, covered: tuple[int, int]) -> None:
        """A collection was made for `reason` that covers so much; another reason that came meanwhile stands."""
        self._connection.run("collected", [reason, *covered])

    def record(self, run: Run, *, once: bool = False, wait_s: float = 0) -> bool:
        """Records a run; False where that was said of this want before (`once`). wait_s: when it is tried again."""
        args: list[str | int] = [self._runs_kept, run.result, run.message, int(once), int(wait_s * 1000)]
        args += [run.blobs, run.bytes_freed or 0, run.ended_ms, run.ended_ms - run.started_ms]
        for name, value in asdict(run).items():
            args += [name, "" if value is None else str(value)]
        return bool(self._connection.run("ran", args))

    def runs(self, count: int = 20) -> tuple[Run, ...]:
        """The newest runs first."""
        with self._connection.reached() as client:
            rows = client.xrevrange(self._keys.of("gc:runs"), count=count)
        return tuple(_run(row) for _, row in rows)

    def keep_output(self, started_ms: int, text: str) -> None:
        """Keeps what was printed in the run that began then."""
        if not text:
            return
        entry = {"started_ms": str(started_ms), "text": text}
        with self._connection.reached() as client:
            client.xadd(self._keys.of("gc:outputs"), entry, maxlen=_OUTPUTS, approximate=False)

    def output(self, started_ms: int) -> str | None:
        """What was printed in the run that began then; None where that is not kept."""
        with self._connection.reached() as client:
            rows = client.xrevrange(self._keys.of("gc:outputs"))
        return next((str(row["text"]) for _, row in rows if row["started_ms"] == str(started_ms)), None)

    def waits(self) -> Wait | None:
        """Why the wanted collection is not made yet; None where nothing keeps it."""
        with self._connection.reached() as client:
            said = client.hgetall(self._keys.of("gc:waiting"))
        if not said:
            return None
        times = int(said.get(f"said {said['last']}", 1))
        return Wait(said["last"], int(said["since_ms"]), int(said["at_ms"]), times)

    def totals(self) -> Totals:
        """All runs since the beginning."""
        with self._connection.reached() as client:
            known = client.hgetall(self._keys.of("gc:totals"))
        runs = {name.removeprefix("runs "): int(count) for name, count in known.items() if name.startswith("runs ")}
        done_ms, took_ms = (int(known[name]) if name in known else None for name in ("done_ms", "took_ms"))
        return Totals(runs, int(known.get("blobs", 0)), int(known.get("bytes", 0)), done_ms, took_ms)

    def show(self, under: Under) -> None:
        """Says what a collection is at, for some seconds."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:state"), json.dumps(asdict(under)), px=_STATE_MS)

    def hide(self) -> None:
        """No collection is under way any more."""
        with self._connection.reached() as client:
            client.delete(self._keys.of("gc:state"))

    def under_way(self) -> Under | None:
        """What a collection is at; None while there is none."""
        text = self._text("gc:state")
        return Under(**json.loads(text)) if text else None

    def rehearsed(self, rehearsal: Rehearsal) -> None:
        """Keeps what a dry run said for a day; the wish for it is met."""
        largest = sorted(rehearsal.blobs, key=lambda blob: -(blob[1] or 0))[:_REHEARSED_AT_MOST]
        text = json.dumps({"at_ms": rehearsal.at_ms, "blobs": largest})
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.set(self._keys.of("gc:rehearsal"), text, ex=_REHEARSAL_S)
            pipe.delete(self._keys.of("gc:dry"))
            pipe.execute()

    def forget_rehearsal(self) -> None:
        """The wish for a dry run is over, as it failed."""
        with self._connection.reached() as client:
            client.delete(self._keys.of("gc:dry"))

    def rehearsal(self) -> Rehearsal | None:
        """What the last dry run said."""
        text = self._text("gc:rehearsal")
        if text is None:
            return None
        kept = json.loads(text)
        return Rehearsal(kept["at_ms"], tuple((digest, size) for digest, size in kept["blobs"]))

    def sweeps(self, sweep: Sweep) -> None:
        """Notes, before it begins, a sweep that must be checked: whoever comes after us does it where we do not."""
        probes = [[probe.repository, probe.digest] for probe in sweep.probes]
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:sweep"), json.dumps({"since_ms": sweep.since_ms, "probes": probes}))

    def unchecked(self) -> Sweep | None:
        """A sweep that began and whose checks are not over."""
        text = self._text("gc:sweep")
        if text is None:
            return None
        kept = json.loads(text)
        return Sweep(kept["since_ms"], tuple(Probe(*probe) for probe in kept["probes"]))

    def checked(self) -> None:
        """The checks of the last sweep are over."""
        with self._connection.reached() as client:
            client.delete(self._keys.of("gc:sweep"))

    def closes(self) -> None:
        """Notes, before it happens, that the registry is made read-only: whoever comes after us must end that."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:readonly"), now_ms(), nx=True)

    def is_closed(self) -> bool:
        """Whether the registry may be read-only because of us."""
        with self._connection.reached() as client:
            return bool(client.exists(self._keys.of("gc:readonly")))

    def reopened(self) -> None:
        """The registry was seen to take writes again."""
        with self._connection.reached() as client:
            client.delete(self._keys.of("gc:readonly"))

    def scheduled(self, now_ms: int) -> int:
        """The last time (ms) a schedule was looked at; `now_ms` is noted when there was none."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:scheduled"), now_ms, nx=True)
            return int(client.get(self._keys.of("gc:scheduled")) or now_ms)

    def take_schedule(self, now_ms: int) -> None:
        """Notes that the schedule was followed at `now_ms`."""
        with self._connection.reached() as client:
            client.set(self._keys.of("gc:scheduled"), now_ms)

    def _request(self, name: str, reason: str, life_ms: int) -> None:
        keys = [self._keys.of(name), self._keys.of("gc:retry"), self._keys.of("gc:waiting")]
        self._connection.script("request", keys, [reason, life_ms])

    def _text(self, name: str) -> str | None:
        with self._connection.reached() as client:
            text: str | None = client.get(self._keys.of(name))
        return text


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _run(row: Mapping[str, str]) -> Run:
    """What an older version recorded lacks the newer fields."""
    words = ("result", "reason", "message", "gate", "note")
    values = {
        field.name: row[field.name] if field.name in words else int(row[field.name])
        for field in fields(Run)
        if row.get(field.name)
    }
    return Run(**{"started_ms": 0, "ended_ms": 0, "result": "", "reason": "", **values})  # type: ignore[arg-type]
