"""The garbage that the last collection or dry run saw, with the times at which its space becomes free."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from service.domain.collection.garbage import Garbage, GarbagePeriods, freed_ms
from service.schedule import next_run
from service.settings.sections import GcSettings
from service.store import Store
from service.store.collections import now_ms


def garbage(store: Store, gc: GcSettings) -> Garbage | None:
    """Return the garbage that is known, None if no collection and no dry run has looked for it."""
    known = store.garbage.last()
    if known is None:
        return None
    periods, at_ms = GarbagePeriods(gc.youth * 1000, gc.grace * 1000, gc.quarantine * 1000), now_ms()
    steps = (
        replace(step, freed_ms=freed_ms(step, periods, at_ms, lambda ms: collection_after(gc, ms)))
        for step in known.steps
    )
    return replace(known, steps=tuple(steps))


def collection_after(gc: GcSettings, at_ms: int) -> int:
    """Return the time (ms) of the first scheduled collection at this time or later; the time itself if none is."""
    # The schedule answers with a later time than it was given.
    start = datetime.fromtimestamp(at_ms / 1000, UTC) - timedelta(milliseconds=1)
    scheduled = next_run(gc, start)
    return round(scheduled.timestamp() * 1000) if scheduled else at_ms
