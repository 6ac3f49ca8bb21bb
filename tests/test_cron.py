"""Cron schedules mean what cron makes of them."""

from datetime import UTC, datetime

import pytest

from service.cron import next_time


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 3 * * *", datetime(2026, 11, 30, 3, tzinfo=UTC)),
        # Day of month and weekday are joined with OR: Monday 30 November comes before 1 December.
        ("0 3 1 * 1", datetime(2026, 11, 30, 3, tzinfo=UTC)),
        ("30 2 * * 7", datetime(2026, 12, 6, 2, 30, tzinfo=UTC)),
        ("30 2 * * 0", datetime(2026, 12, 6, 2, 30, tzinfo=UTC)),
        ("0 3 * * mon-fri", datetime(2026, 11, 30, 3, tzinfo=UTC)),
    ],
)
def test_the_next_time_is_the_one_that_cron_would_take(schedule: str, expected: datetime) -> None:
    assert next_time(schedule, datetime(2026, 11, 29, 12, tzinfo=UTC)) == expected
