"""Garbage by repository and by age, and when its space becomes free."""

import pytest

from service.domain.collection.garbage import (
    GarbagePeriods,
    GarbageStage,
    GarbageStep,
    RepositoryGarbage,
    by_age,
    by_repository,
    freed_ms,
)

HOUR_MS = 3_600_000
PERIODS = GarbagePeriods(youth_ms=HOUR_MS, grace_ms=24 * HOUR_MS, quarantine_ms=0)


def daily(at_ms: int) -> int:
    """The first collection at this time or later: one every 24 hours."""
    return -(-at_ms // (24 * HOUR_MS)) * 24 * HOUR_MS


def test_a_blob_counts_in_each_repository_that_had_it() -> None:
    blobs = [(5, ("shop/api", "shop/web")), (7, ("shop/web",)), (1, ())]
    assert by_repository(blobs) == (
        RepositoryGarbage("shop/web", 2, 12),
        RepositoryGarbage("shop/api", 1, 5),
        RepositoryGarbage("", 1, 1),
    )


def test_blobs_of_one_stage_and_one_hour_are_one_step() -> None:
    unlinked, unused = GarbageStage.UNLINKED, GarbageStage.UNUSED
    blobs = [(unlinked, HOUR_MS + 5, 10), (unlinked, HOUR_MS + 9, 20), (unlinked, 2 * HOUR_MS, 1), (unused, None, 4)]
    assert by_age(blobs) == (
        GarbageStep(unused, None, 1, 4),
        GarbageStep(unlinked, HOUR_MS + 9, 2, 30),
        GarbageStep(unlinked, 2 * HOUR_MS, 1, 1),
    )


@pytest.mark.parametrize(
    ("stage", "since_hours", "quarantine_hours", "days"),
    [
        # Unlinked tonight, deleted the night after.
        (GarbageStage.UNUSED, None, 0, 2),
        (GarbageStage.UNLINKED, 3, 0, 2),
        (GarbageStage.UNLINKED, 0, 0, 1),
        (GarbageStage.UNLINKED, 0, 30, 3),
        (GarbageStage.YOUNG, 23.5, 0, 3),
        (GarbageStage.QUARANTINED, 1, 24, 2),
    ],
)
def test_space_becomes_free_by_the_collection_after_each_wait(
    stage: GarbageStage, since_hours: float | None, quarantine_hours: int, days: int
) -> None:
    step = GarbageStep(stage, None if since_hours is None else round(since_hours * HOUR_MS), 1, 1)
    periods = GarbagePeriods(PERIODS.youth_ms, PERIODS.grace_ms, quarantine_hours * HOUR_MS)
    now_ms = HOUR_MS if since_hours is None else round(since_hours * HOUR_MS)
    assert freed_ms(step, periods, now_ms, daily) == days * 24 * HOUR_MS
