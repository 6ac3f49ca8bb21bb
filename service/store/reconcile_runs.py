"""Reconcile runs in Redis: the request, the progress and the last result."""

from collections.abc import Sequence
from typing import Any

from service.domain.history.reconciliation import ReconcileResult, ReconcileRun
from service.store.chunks import chunks
from service.store.connection import Connection
from service.store.outbox import FIRST_WAIT_MS, LONGEST_WAIT_MS, RESEND_MS

_TRIES = 10
# This cursor says that all names are known. No repository can have this name.
_ALL_READ = "."


class ReconcileRuns:
    """reconcile:* in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def request(self, reason: str) -> None:
        """Request a comparison of everything; `reason` replaces that of an earlier request. The sweep starts it."""
        client = self._connection.redis
        client.set(self._of("due"), reason)
        # A user does not have to wait for the pause after a failure.
        client.delete(self._of("pause"))

    def request_if_none(self, reason: str) -> None:
        """Request a comparison of everything, unless it is already requested."""
        self._connection.redis.set(self._of("due"), reason, nx=True)

    def requested(self) -> str | None:
        """Return the reason of the requested comparison of everything, None if there is no request."""
        reason = self._connection.redis.get(self._of("due"))
        return str(reason) if reason else None

    def request_repositories(self, repositories: Sequence[str], reason: str) -> None:
        """Request a comparison of these repositories before all others."""
        self._connection.run("reconcile_request", repositories=repositories, reason=reason)
        # A user does not have to wait for the pause after a failure.
        self._connection.redis.delete(self._of("pause"))

    def waiting(self, repositories: Sequence[str]) -> tuple[str, ...]:
        """Return those of these repositories that are still to be compared."""
        with self._connection.redis.pipeline() as pipe:
            for repository in repositories:
                pipe.zscore(self._of("todo"), repository)
            scores = pipe.execute()
        return tuple(name for name, score in zip(repositories, scores, strict=True) if score is not None)

    def begin(self) -> ReconcileRun | None:
        """Return the run under way; if there is none, begin the requested run."""
        self._connection.run("reconcile_begin", epoch=self.epoch())
        return self.current()

    def current(self) -> ReconcileRun | None:
        """Return the run under way, or None."""
        with self._connection.redis.pipeline() as pipe:
            pipe.hgetall(self._of("run"))
            pipe.zcard(self._of("todo"))
            fields, todo = pipe.execute()
        if not fields:
            return None
        counts = {name: int(fields.get(name, 0)) for name in ("repositories", "tags", "changed", "failed")}
        return ReconcileRun(
            reason=fields["reason"], since_ms=int(fields["since_ms"]), whole=fields["whole"] == "1",
            listed=fields["listed"] == "1", cursor=fields["cursor"], todo=int(todo),
            catalog=fields.get("catalog", ""), message=fields.get("message", ""), **counts,
        )  # fmt: skip

    def note_page(self, repositories: Sequence[str], cursor: str) -> None:
        """Record a page of the catalog. cursor: the last name on the page."""
        self._connection.run("reconcile_page", repositories=repositories, cursor=cursor, catalog="")

    def note_catalog_failure(self, message: str, asked_s: float | None = None) -> int:
        """Record why the catalog could not be read on, and wait. asked_s: the shortest wait, as the registry asked.

        Returns how often in a row that happened.
        """
        failures = self._connection.run(
            "reconcile_catalog_failed",
            message=message,
            first_ms=FIRST_WAIT_MS,
            longest_ms=LONGEST_WAIT_MS,
            asked_ms=round((asked_s or 0) * 1000),
        )
        return int(failures)

    def note_all_pages(self, repositories: Sequence[str], catalog: str = "") -> None:
        """Record that every repository is known, including these. catalog: why they do not come from the catalog."""
        # The last call says that all are known. Until then, a worker that dies leaves the run as it was.
        for part in chunks(repositories):
            self._connection.run("reconcile_page", repositories=part, cursor="", catalog="")
        self._connection.run("reconcile_page", repositories=(), cursor=_ALL_READ, catalog=catalog)

    def next_repository(self, *, asked: bool = False) -> str | None:
        """Return the repository to compare next, None if none is left. asked: only of those requested by name."""
        members = self._connection.redis.zrangebyscore(self._of("todo"), 0, 0 if asked else "+inf", 0, 1)
        return str(members[0]) if members else None

    def compared(self, repository: str, tags: int, changed: int) -> None:
        """Record the comparison of a repository: its number of tags, and in how many the history differed."""
        self._connection.run("reconcile_compared", repository, tags=tags, changed=changed)

    def failed(self, repository: str, message: str, *, for_good: bool) -> None:
        """Record that a repository could not be compared. It is tried again after all others, but not if `for_good`."""
        self._connection.run(
            "reconcile_failed",
            repository,
            max_attempts=1 if for_good else _TRIES,
            message=message,
            first_ms=0 if for_good else FIRST_WAIT_MS,
            longest_ms=LONGEST_WAIT_MS,
        )

    def end(self, *, now: bool = False) -> bool:
        """End and record the run if nothing is left to compare, or in any case if `now`. Returns True if it ended."""
        return bool(self._connection.run("reconcile_end", in_any_case=now))

    def overdue(self) -> bool:
        """Return True if a worker should continue the run now.

        After a True the answer is False for RESEND_MS, so that only one message is sent.
        """
        client = self._connection.redis
        return self._has_work(client) and bool(client.set(self._of("sent"), "1", nx=True, px=RESEND_MS))

    def claim_next(self) -> bool:
        """Return True if the run has more to do after a worker's slice.

        The worker then sends the next message itself, so the sweep sends none for RESEND_MS.
        """
        client = self._connection.redis
        return self._has_work(client) and bool(client.set(self._of("sent"), "1", px=RESEND_MS))

    def count_with_tags(self, repositories: Sequence[str]) -> int:
        """Return how many of these repositories have live tags, as far as is known."""
        keys = [self._keys.of("tags", repository) for repository in repositories]
        return sum(int(self._connection.redis.exists(*part)) for part in chunks(keys))

    def last(self) -> ReconcileResult | None:
        """Return the run that ended last, None before the first end."""
        fields = self._connection.redis.hgetall(self._of("last"))
        if not fields:
            return None
        counts = ("at_ms", "took_ms", "repositories", "tags", "changed", "failed")
        return ReconcileResult(
            **{name: int(fields[name]) for name in counts},
            reason=fields["reason"], whole=fields["whole"] == "1", catalog=fields["catalog"], message=fields["message"],
        )  # fmt: skip

    def epoch(self) -> str:
        """Return the epoch: the id of this start of Redis, and the number of registry starts seen."""
        run_id = self._connection.run_id()
        return f"{run_id}:{self._connection.redis.get(self._keys.of('restarts')) or '0'}"

    def note_registry_start(self, start: str, age_ms: int) -> bool:
        """Record the start time that the registry reports, and how long ago that was.

        Returns True if this is a restart that no event has reported. If an event has, that restart is already counted.
        """
        return bool(self._connection.run("note_registry_start", start=start, age_ms=age_ms))

    def last_epoch(self) -> str | None:
        """Return the epoch in which the last run over everything began, None before the first."""
        epoch = self._connection.redis.get(self._of("epoch"))
        return str(epoch) if epoch else None

    def scheduled(self, now_ms: int) -> int:
        """Return the time (ms) up to which the schedule was checked; on the first call, record and return `now_ms`."""
        client = self._connection.redis
        # The first call sets the start: no earlier time of the schedule counts as missed.
        client.set(self._of("scheduled"), now_ms, nx=True)
        return int(client.get(self._of("scheduled")))

    def take_schedule(self, now_ms: int) -> None:
        """Record that the schedule was checked up to `now_ms`."""
        self._connection.redis.set(self._of("scheduled"), now_ms)

    def _has_work(self, client: Any) -> bool:
        return bool(client.exists(self._of("due"), self._of("run"))) and not client.exists(self._of("pause"))

    def _of(self, name: str) -> str:
        return self._keys.of(f"reconcile:{name}")
