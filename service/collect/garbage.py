"""The garbage that the last collection or dry run saw, and the times at which its space becomes free."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from service.clock import now_ms
from service.collect.times import next_run
from service.domain.collection.garbage import Garbage, GarbagePeriods, GarbageStage, GarbageStep, freed_ms
from service.settings.gc import GcSettings
from service.store import Store


def garbage(store: Store, gc: GcSettings) -> Garbage | None:
    """Return the garbage that is known, None if no collection and no dry run has looked for it."""
    known = store.garbage.last()
    if known is None:
        return None
    at_ms = now_ms()
    return replace(known, steps=tuple(replace(step, freed_ms=_freed_ms(step, gc, at_ms)) for step in known.steps))


def restorable_until(
    store: Store, gc: GcSettings, life_s: int, images: Sequence[tuple[str, str, int]]
) -> tuple[int, ...]:
    """Return until when (µs) each of these images can be restored.

    That is the end of its time in the trash, or the first scheduled collection that may delete one of its blobs for
    good. A collection that is requested manually may come sooner.

    Args:
        life_s: how long the trash keeps images.
        images: of the trash: repository, digest, and when it was deleted (µs).
    """
    ends_us = [at_us + life_s * 1_000_000 for *_, at_us in images]
    at_ms = now_ms()
    if gc.collector != "online":
        next_us = 1000 * collection_after(gc, at_ms) if gc.command and gc.schedule else max(ends_us, default=0)
        return tuple(min(end_us, next_us) for end_us in ends_us)
    stages = store.garbage.restorable([(name, digest) for name, digest, _ in images])
    begun = (stage or (GarbageStage.UNUSED, None) for stage in stages)
    steps = (GarbageStep(stage, since_ms, 1, 0) for stage, since_ms in begun)
    return tuple(min(end_us, 1000 * _freed_ms(step, gc, at_ms)) for end_us, step in zip(ends_us, steps, strict=True))


def _freed_ms(step: GarbageStep, gc: GcSettings, at_ms: int) -> int:
    periods = GarbagePeriods(gc.youth * 1000, gc.grace * 1000, gc.quarantine * 1000)
    return freed_ms(step, periods, at_ms, lambda ms: collection_after(gc, ms))


def collection_after(gc: GcSettings, at_ms: int) -> int:
    """Return the time (ms) of the first scheduled collection at this time or later; the time itself if none is."""
    # The schedule answers with a later time than it was given.
    start = datetime.fromtimestamp(at_ms / 1000, UTC) - timedelta(milliseconds=1)
    scheduled = next_run(gc, start)
    return round(scheduled.timestamp() * 1000) if scheduled else at_ms
