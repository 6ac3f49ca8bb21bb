"""The recent activity, step by step: pushes, deletions, collections, and bytes that collections freed."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.collection.run import Run
from service.domain.history.entry import EventCount
from service.store import Store

_RUNS = 1000

# Action of an entry of the history → its word for users.
ACTIONS = {
    "push": "pushed",
    "delete": "deleted outside pushprune",
    "pruned": "deleted",
    "still listed": "deleted, tag still listed",
    "restored": "restored",
    "adopted": "imported",
    "vanished": "missing at the registry",
    "rescued": "kept by a new push",
    "healed": "repaired",
    "lost": "could not be repaired",
    "dated": "creation date read",
    "approved": "approved",
    "refused": "rejected",
    "protected": "protected",
    "unprotected": "protection ended",
}


@dataclass(frozen=True, slots=True)
class ActivityStep:
    """The activity of one step of time.

    Attributes:
        at_ms: start of the step, ms since the epoch.
        freed_bytes: freed by collections that ended in this step.
        collections: number of collections that ended in this step, failed ones included.
        failed: number of these that failed.
    """

    at_ms: int
    pushes: int
    deletes: int
    freed_bytes: int
    collections: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """The activity of a period. is_whole: False if there were too many events to count or to keep them all."""

    steps: tuple[ActivityStep, ...]
    is_whole: bool


def recent_activity(store: Store, length_ms: int, step_ms: int, now_ms: int) -> Activity:
    """Return the activity of the last `length_ms`, the current step included.

    Raises:
        StoreUnavailable: Redis is unavailable.
    """
    since_ms = now_ms // step_ms * step_ms + step_ms - length_ms
    counted = store.event_counts.since(since_ms, step_ms)
    steps = _steps(counted, store.collection_runs.latest(_RUNS), range(since_ms, now_ms + 1, step_ms))
    oldest_ms = oldest_event_ms(store)
    return Activity(tuple(steps), counted.is_whole and (oldest_ms is None or oldest_ms <= since_ms))


def oldest_event_ms(store: Store) -> int | None:
    """Return when the oldest event that is left was recorded; None if none was dropped."""
    return store.archive.dropped_until_ms(None)


def freed_since(store: Store, since_ms: int) -> int:
    """Return the bytes that collections freed since this time. Raises StoreUnavailable if Redis is unavailable."""
    runs = store.collection_runs.latest(_RUNS)
    return sum(run.bytes_freed or 0 for run in runs if run.result == "done" and run.ended_ms >= since_ms)


def _steps(counted: EventCount, runs: tuple[Run, ...], starts: range) -> Iterator[ActivityStep]:
    ended: dict[int, list[Run]] = {}
    for run in runs:
        if run.result in ("done", "failed"):
            ended.setdefault(run.ended_ms // starts.step * starts.step, []).append(run)
    for at_ms in starts:
        counts, here = counted.counts.get(at_ms, {}), ended.get(at_ms, ())
        yield ActivityStep(
            at_ms,
            pushes=counts.get("push", 0),
            deletes=counts.get("pruned", 0) + counts.get("still listed", 0),
            freed_bytes=sum(run.bytes_freed or 0 for run in here if run.result == "done"),
            collections=len(here),
            failed=sum(run.result == "failed" for run in here),
        )


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The steps of the first start that are done.

    Attributes:
        is_notified: a registry has sent at least one event, so its config.yml names pushprune and it was restarted.
        has_push: a user has pushed an image.
    """

    is_notified: bool
    has_push: bool


def first_start(store: Store) -> FirstStart:
    """Return the steps that are done. Raises StoreUnavailable if Redis is unavailable."""
    reading = store.stats.read()
    return FirstStart(is_notified=reading.is_notified, has_push=bool(reading.counters.get("push")))
