"""Cron schedules, and the hours and the pause between two garbage collections."""

from datetime import UTC, datetime, timedelta

from cronsim import CronSim

from service.domain.collection.window import is_open, opens_at, spell_window
from service.domain.policy.units import spell_duration
from service.settings.sections import GcSettings


def is_due(schedule: str, last: datetime) -> bool:
    """True if a time of the schedule has come since `last`."""
    return next_time(schedule, last) <= datetime.now(UTC)


def next_run(gc: GcSettings, now: datetime) -> datetime | None:
    """Return the next scheduled time at which `gc.window` is open, or None without a schedule."""
    if not gc.schedule:
        return None
    return opens_at(gc.window or (), next_time(gc.schedule, now))


def next_time(schedule: str, now: datetime) -> datetime:
    """Return the next time of a schedule after `now`.

    Day of month and weekday are joined as cron joins them: with OR where both are restricted. 0 and 7 are Sunday.
    """
    return next(CronSim(schedule, now))


def too_early(gc: GcSettings, now: datetime, done_ms: int | None) -> str | None:
    """Return why no collection may begin yet, as one sentence, or None.

    Args:
        done_ms: the end of the last successful collection (ms).
    """
    if gc.window and not is_open(gc.window, now):
        opens = opens_at(gc.window, now)
        return f"it may begin only within gc.window ({spell_window(gc.window)} UTC): tried again at {opens:%H:%M} UTC"
    if done_ms is not None and now < datetime.fromtimestamp(done_ms / 1000, UTC) + timedelta(seconds=gc.min_interval):
        return f"the last one ended less than gc.min_interval ({spell_duration(gc.min_interval)}) ago"
    return None
