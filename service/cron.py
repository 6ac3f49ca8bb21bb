"""The times of a cron schedule."""

from datetime import UTC, datetime

from cronsim import CronSim


def is_due(schedule: str, last: datetime) -> bool:
    """True if a time of the schedule has come since `last`."""
    return next_time(schedule, last) <= datetime.now(UTC)


def next_time(schedule: str, now: datetime) -> datetime:
    """Return the next time of a schedule after `now`.

    Day of month and weekday are joined as cron joins them: with OR where both are restricted. 0 and 7 are Sunday.
    """
    return next(CronSim(schedule, now))
