"""The recent activity, step by step: pushes, deletions, and bytes that collections freed."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.collection.run import Run
from service.domain.history.entry import EventCount
from service.store import Store

_RUNS = 1000


@dataclass(frozen=True, slots=True)
class ActivityStep:
    """The activity of one step of time.

    Attributes:
        at_ms: start of the step, ms since the epoch.
        freed_bytes: freed by collections that ended in this step.
    """

    at_ms: int
    pushes: int
    deletes: int
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class Activity:
    """The activity of a period. is_whole: False if there were too many events to count them all."""

    steps: tuple[ActivityStep, ...]
    is_whole: bool


def recent_activity(store: Store, length_ms: int, step_ms: int, now_ms: int) -> Activity:
    """Return the activity of the last `length_ms`. Raises StoreUnavailable if Redis is unavailable."""
    since_ms = (now_ms - length_ms) // step_ms * step_ms
    counted = store.event_counts.since(since_ms, step_ms)
    steps = _steps(counted, store.collections.runs(_RUNS), range(since_ms, now_ms + 1, step_ms))
    return Activity(tuple(steps), counted.is_whole)


def _steps(counted: EventCount, runs: tuple[Run, ...], starts: range) -> Iterator[ActivityStep]:
    freed: dict[int, int] = {}
    for run in runs:
        at_ms = run.ended_ms // starts.step * starts.step
        if run.result == "done":
            freed[at_ms] = freed.get(at_ms, 0) + (run.bytes_freed or 0)
    for at_ms in starts:
        counts = counted.counts.get(at_ms, {})
        deletes = counts.get("pruned", 0) + counts.get("still listed", 0)
        yield ActivityStep(at_ms, counts.get("push", 0), deletes, freed.get(at_ms, 0))
