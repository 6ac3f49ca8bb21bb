"""Garbage collections in Redis: what is requested, the progress, and what the next one must check."""

import json
from dataclasses import asdict

from service.clock import now_ms
from service.domain.collection.run import (
    BlobProbe,
    CollectionStage,
    Postponement,
    Rehearsal,
    Sweep,
    Undeletion,
)
from service.store.connection import Connection
from service.store.outbox import RESEND_MS
from service.tracing import MOST_LINKS

_STATE_MS = 15_000
_REQUEST_MS = 3_600_000
_REHEARSAL_S = 86_400
_REHEARSED_AT_MOST = 10_000


class Collections:
    """gc:* in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def request(self, reason: str, grace_s: int | None = None) -> None:
        """Request a collection now. The sweep of the outbox starts it.

        Args:
            reason: replaces the reason of an earlier request.
            grace_s: the grace of this online collection, instead of gc.grace and gc.quarantine.
        """
        self._request("gc:due", reason, 0, grace_s or 0)

    def request_rehearsal(self, reason: str) -> None:
        """Request a dry run only."""
        self._request("gc:dry_run", reason, _REQUEST_MS)

    def request_undeletion(self, undeletion: Undeletion) -> None:
        """Request that data is brought back from quarantine."""
        self._request("gc:undelete", json.dumps(asdict(undeletion)), _REQUEST_MS)

    def undeletion_requested(self) -> Undeletion | None:
        """Return the requested undeletion, None if there is no request."""
        text = self._text("gc:undelete")
        if text is None:
            return None
        kept = json.loads(text)
        return Undeletion(kept["reason"], tuple(kept["digests"]))

    def forget_undeletion(self) -> None:
        """Remove the request for an undeletion."""
        self._connection.redis.delete(self._keys.of("gc:undelete"))

    def requested_grace_s(self) -> int | None:
        """Return the grace that was requested for the requested collection; None for that of the settings."""
        text = self._text("gc:grace")
        return int(text) if text else None

    def cancel(self) -> str | None:
        """Cancel the requested collection and return the reason of its request.

        Returns:
            None if there was no request, or if the collection has begun to delete blobs.
        """
        reason: str | None = self._connection.run("cancel_collection")
        return reason

    def request_if_none(self, reason: str) -> None:
        """Request a collection soon, unless a collection is already requested."""
        self._connection.redis.set(self._keys.of("gc:due"), reason, nx=True)

    def requested(self) -> str | None:
        """Return the reason of the requested collection, None if there is no request."""
        return self._text("gc:due")

    def rehearsal_requested(self) -> str | None:
        """Return the reason of the requested dry run, None if there is no request."""
        return self._text("gc:dry_run")

    def overdue(self) -> bool:
        """Return True if a worker should be asked now to start the requested work.

        After a True the answer is False for RESEND_MS, so that only one message is sent.
        """
        waiting = [self._keys.of(name) for name in ("gc:due", "gc:dry_run", "gc:undelete", "gc:readonly")]
        client = self._connection.redis
        if not client.exists(*waiting) and not self.must_look_again():
            return False
        # NX and the expiry let only one caller per period send the message.
        return bool(client.set(self._keys.of("gc:retry"), "1", nx=True, px=RESEND_MS))

    def look_again_at(self, at_ms: int) -> None:
        """Let the next look at the links that a collection deleted begin at this time."""
        self._connection.redis.set(self._keys.of("gc:look_again"), at_ms)

    def must_look_again(self) -> bool:
        """Return True if the links that the last collection deleted must be looked at now."""
        at_ms = self._text("gc:look_again")
        return at_ms is not None and int(at_ms) <= now_ms()

    def looked_again(self) -> None:
        """Record that the links that the last collection deleted were looked at."""
        self._connection.redis.delete(self._keys.of("gc:look_again"))

    def postpone(self, wait_s: float) -> None:
        """Postpone the next attempt at the requested work by `wait_s`."""
        self._connection.redis.set(self._keys.of("gc:retry"), "1", px=int(wait_s * 1000))

    def deletions_so_far(self) -> tuple[int, int]:
        """Return the number of deletions that a collection covers if it begins now, and their size in bytes."""
        deletes, size_bytes = self._connection.redis.mget([self._keys.of("gc:deletes"), self._keys.of("gc:bytes")])
        return int(deletes or 0), int(size_bytes or 0)

    def note_deletions(self, trace: str) -> None:
        """Note the trace of a batch of deletions, for the collection that makes them final; nothing if it is ""."""
        if trace:
            traces = self._keys.of("gc:traces")
            with self._connection.redis.pipeline() as pipe:
                pipe.lpush(traces, trace)
                pipe.ltrim(traces, 0, MOST_LINKS - 1)
                pipe.execute()

    def deletions_traced(self) -> tuple[str, ...]:
        """Return the traces of the deletions since the last collection, the newest first."""
        return tuple(self._connection.redis.lrange(self._keys.of("gc:traces"), 0, -1))

    def collected(self, reason: str, covered: tuple[int, int]) -> None:
        """Record that a collection ran for `reason`, and subtract the deletions (number, bytes) that it covered.

        A request that came meanwhile with another reason stays open.
        """
        self._connection.run("collected", reason=reason, covered_deletes=covered[0], covered_bytes=covered[1])

    def wait(self) -> Postponement | None:
        """Return the reason why the requested collection has not run yet, None if nothing delays it."""
        waiting = self._connection.redis.hgetall(self._keys.of("gc:waiting"))
        if not waiting:
            return None
        times = int(waiting.get(f"said {waiting['last']}", 1))
        return Postponement(waiting["last"], int(waiting["since_ms"]), int(waiting["at_ms"]), times)

    def publish_progress(self, under: CollectionStage) -> None:
        """Publish the progress of the running collection; the entry expires after `_STATE_MS`."""
        self._connection.redis.set(self._keys.of("gc:state"), json.dumps(asdict(under)), px=_STATE_MS)

    def clear_progress(self) -> None:
        """Remove the published progress: no collection is running any more."""
        self._connection.redis.delete(self._keys.of("gc:state"))

    def progress(self) -> CollectionStage | None:
        """Return the progress of the running collection, None if no collection is running."""
        text = self._text("gc:state")
        return CollectionStage(**json.loads(text)) if text else None

    def note_rehearsal(self, rehearsal: Rehearsal) -> None:
        """Keep the result of a dry run for a day and remove the request for the dry run."""
        largest = sorted(rehearsal.blobs, key=lambda blob: -(blob[1] or 0))[:_REHEARSED_AT_MOST]
        text = json.dumps({"at_ms": rehearsal.at_ms, "blobs": largest})
        with self._connection.redis.pipeline() as pipe:
            pipe.set(self._keys.of("gc:rehearsal"), text, ex=_REHEARSAL_S)
            pipe.delete(self._keys.of("gc:dry_run"))
            pipe.execute()

    def forget_rehearsal(self) -> None:
        """Remove the request for a dry run, because the dry run failed."""
        self._connection.redis.delete(self._keys.of("gc:dry_run"))

    def rehearsal(self) -> Rehearsal | None:
        """Return the result of the last dry run, None if none is kept."""
        text = self._text("gc:rehearsal")
        return None if text is None else unpack_rehearsal(text)

    def begin_check(self, sweep: Sweep) -> bool:
        """Record a sweep, before it begins, that must be checked afterwards.

        If this process dies, the next collection makes the checks.

        Returns:
            False if the collection was cancelled. A collection whose sweep is recorded cannot be cancelled.
        """
        probes = [[probe.repository, probe.digest] for probe in sweep.probes]
        text = json.dumps({"since_ms": sweep.since_ms, "probes": probes})
        return bool(self._connection.run("begin_sweep", sweep=text))

    def open_check(self) -> Sweep | None:
        """Return the sweep that began and whose checks are not complete, None if there is no such sweep."""
        text = self._text("gc:unverified")
        if text is None:
            return None
        kept = json.loads(text)
        return Sweep(kept["since_ms"], tuple(BlobProbe(*probe) for probe in kept["probes"]))

    def end_check(self) -> None:
        """Record that the checks of the last sweep are complete."""
        self._connection.redis.delete(self._keys.of("gc:unverified"))

    def note_read_only(self) -> None:
        """Record, before it happens, that pushprune makes the registry read-only.

        If this process dies, the next collection must make the registry writable again.
        """
        # NX keeps the time since which the registry may have been read-only.
        self._connection.redis.set(self._keys.of("gc:readonly"), now_ms(), nx=True)

    def may_be_read_only(self) -> bool:
        """Return True if pushprune may have left the registry read-only."""
        return bool(self._connection.redis.exists(self._keys.of("gc:readonly")))

    def note_writable(self) -> None:
        """Record that the registry was seen to accept writes again."""
        self._connection.redis.delete(self._keys.of("gc:readonly"))

    def scheduled(self, now_ms: int) -> int:
        """Return the time (ms) of the last schedule check; on the first call, record and return `now_ms`."""
        client = self._connection.redis
        # The first call sets the start: no earlier time of the schedule counts as missed.
        client.set(self._keys.of("gc:scheduled"), now_ms, nx=True)
        return int(client.get(self._keys.of("gc:scheduled")) or now_ms)

    def take_schedule(self, now_ms: int) -> None:
        """Record that the schedule was checked at `now_ms`."""
        self._connection.redis.set(self._keys.of("gc:scheduled"), now_ms)

    def _request(self, name: str, reason: str, life_ms: int, grace_s: int = 0) -> None:
        is_collection = name == "gc:due"
        self._connection.run(
            "request_collection",
            NAME=name,
            reason=reason,
            life_ms=life_ms,
            grace_s=grace_s,
            is_collection=is_collection,
        )

    def _text(self, name: str) -> str | None:
        text: str | None = self._connection.redis.get(self._keys.of(name))
        return text


def unpack_rehearsal(text: str) -> Rehearsal:
    """Return the dry run behind the value of gc:rehearsal."""
    kept = json.loads(text)
    return Rehearsal(kept["at_ms"], tuple((digest, size) for digest, size in kept["blobs"]))
