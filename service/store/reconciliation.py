"""Walks in Redis: when one is wanted, how far the one under way is, and how the last one went."""

from collections.abc import Sequence
from typing import Any

from service.domain.reconciliation import Walk, Walked
from service.store.connection import Connection
from service.store.outbox import FIRST_WAIT_MS, LONGEST_WAIT_MS, RESEND_MS

_TRIES = 10
_ALL_READ = "."


class Walks:
    """reconcile:* in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def request(self, reason: str) -> None:
        """Wants everything compared, for this reason instead of any other; the sweep has it done."""
        with self._connection.reached() as client:
            client.set(self._of("due"), reason)
            client.delete(self._of("pause"))

    def want(self, reason: str) -> None:
        """Wants everything compared, unless that is wanted already."""
        with self._connection.reached() as client:
            client.set(self._of("due"), reason, nx=True)

    def wanted(self) -> str | None:
        """Why everything is to be compared, or None."""
        with self._connection.reached() as client:
            reason = client.get(self._of("due"))
        return str(reason) if reason else None

    def ask(self, repositories: Sequence[str], reason: str) -> None:
        """Has these repositories compared, before any other."""
        self._connection.run("walk_ask", [reason, self._now_ms(), *repositories])
        with self._connection.reached() as client:
            client.delete(self._of("pause"))

    def waiting(self, repositories: Sequence[str]) -> tuple[str, ...]:
        """Those of these repositories that are still to be compared."""
        with self._connection.reached() as client, client.pipeline() as pipe:
            for repository in repositories:
                pipe.zscore(self._of("todo"), repository)
            scores = pipe.execute()
        return tuple(name for name, score in zip(repositories, scores, strict=True) if score is not None)

    def begin(self) -> Walk | None:
        """The walk under way; begins the one that is wanted where there is none."""
        self._connection.run("walk_begin", [self._now_ms(), self.epoch()])
        return self.under_way()

    def begin_nothing(self) -> None:
        """Counts as if a walk over everything had begun: none is wanted before the next restart."""
        epoch = self.epoch()
        with self._connection.reached() as client:
            client.set(self._of("epoch"), epoch)

    def under_way(self) -> Walk | None:
        """The walk under way, or None."""
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.hgetall(self._of("walk"))
            pipe.zcard(self._of("todo"))
            found, todo = pipe.execute()
        if not found:
            return None
        counts = {name: int(found.get(name, 0)) for name in ("repositories", "tags", "changed", "failed")}
        return Walk(
            reason=found["reason"], since_ms=int(found["since_ms"]), whole=found["whole"] == "1",
            listed=found["listed"] == "1", cursor=found["cursor"], todo=int(todo),
            catalog=found.get("catalog", ""), message=found.get("message", ""), **counts,
        )  # fmt: skip

    def listed(self, repositories: Sequence[str], cursor: str) -> None:
        """Notes a page of the catalog; cursor: the last name of it."""
        self._connection.run("walk_listed", [cursor, "", *repositories])

    def unlisted(self, message: str, asked_s: float | None = None) -> int:
        """Notes why the catalog could not be read on, which waits; asked_s: for so long at least.

        Returns how often that was so, one time after the other.
        """
        args: list[str | int] = [message, FIRST_WAIT_MS, LONGEST_WAIT_MS, round((asked_s or 0) * 1000)]
        return int(self._connection.run("walk_unlisted", args))

    def all_listed(self, repositories: Sequence[str], catalog: str = "") -> None:
        """Notes that every repository is known by now, these included. catalog: why that does not come from there."""
        self._connection.run("walk_listed", [_ALL_READ, catalog, *repositories])

    def next(self, *, asked: bool = False) -> str | None:
        """The repository that is compared next; None when none is left. asked: only of those that were named."""
        with self._connection.reached() as client:
            found = client.zrangebyscore(self._of("todo"), 0, 0 if asked else "+inf", 0, 1)
        return str(found[0]) if found else None

    def compared(self, repository: str, tags: int, changed: int) -> None:
        """Notes that a repository was compared, how many tags it has, and in how many the history differed."""
        self._connection.run("walk_compared", [repository, tags, changed])

    def failed(self, repository: str, message: str, *, for_good: bool) -> None:
        """Notes that a repository could not be compared: it comes again after all others. for_good: it does not."""
        args: list[str | int] = [repository, self._now_ms(), 1 if for_good else _TRIES, message]
        self._connection.run("walk_failed", [*args, 0 if for_good else FIRST_WAIT_MS, LONGEST_WAIT_MS])

    def end(self, *, now: bool = False) -> bool:
        """Ends the walk and records it, if nothing is left to compare; now: whatever is left. Whether it ended."""
        return bool(self._connection.run("walk_ended", [self._now_ms(), int(now)]))

    def overdue(self) -> bool:
        """Whether a worker should go on now; if so, the next answer is yes only after a while."""
        with self._connection.reached() as client:
            return self._has_work(client) and bool(client.set(self._of("sent"), "1", nx=True, px=RESEND_MS))

    def goes_on(self) -> bool:
        """Whether the worker that has ended its slice has more to do; if so, the sweep lets it."""
        with self._connection.reached() as client:
            return self._has_work(client) and bool(client.set(self._of("sent"), "1", px=RESEND_MS))

    def with_tags(self, repositories: Sequence[str]) -> int:
        """How many of these repositories have live tags, as far as is known."""
        with self._connection.reached() as client:
            return int(client.exists(*map(self._keys.tags, repositories))) if repositories else 0

    def last(self) -> Walked | None:
        """The walk that ended last; None before the first has."""
        with self._connection.reached() as client:
            found = client.hgetall(self._of("last"))
        if not found:
            return None
        counts = ("at_ms", "took_ms", "repositories", "tags", "changed", "failed")
        return Walked(
            **{name: int(found[name]) for name in counts},
            reason=found["reason"], whole=found["whole"] == "1", catalog=found["catalog"], message=found["message"],
        )  # fmt: skip

    def epoch(self) -> str:
        """The epoch: which start of Redis, and how many of the registry were seen."""
        run_id = self._connection.run_id()
        with self._connection.reached() as client:
            return f"{run_id}:{client.get(self._keys.of('restarts')) or '0'}"

    def started(self, said: str, age_ms: int) -> bool:
        """Notes when the registry says that it was started, and how long ago; whether that is a restart nobody told of.

        Where the first event after it has told already, that has counted it.
        """
        return bool(self._connection.run("started", [said, age_ms]))

    def epoch_walked(self) -> str | None:
        """The epoch in which the last walk over everything began; None before the first."""
        with self._connection.reached() as client:
            found = client.get(self._of("epoch"))
        return str(found) if found else None

    def scheduled(self, now_ms: int) -> int:
        """The time up to which the schedule was followed (ms); from now on where it never was."""
        with self._connection.reached() as client:
            client.set(self._of("scheduled"), now_ms, nx=True)
            return int(client.get(self._of("scheduled")))

    def take_schedule(self, now_ms: int) -> None:
        """Notes that the schedule was followed up to now."""
        with self._connection.reached() as client:
            client.set(self._of("scheduled"), now_ms)

    def _has_work(self, client: Any) -> bool:
        return bool(client.exists(self._of("due"), self._of("walk"))) and not client.exists(self._of("pause"))

    def _of(self, name: str) -> str:
        return self._keys.of(f"reconcile:{name}")

    def _now_ms(self) -> int:
        return self._connection.now_ms()
