"""When something comes by its schedule; for a collection also its hours, and the time between two."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from celery.schedules import crontab

from service.domain.collection.window import is_open, opens_at, spell_window
from service.domain.policy.units import spell_duration
from service.settings.sections import Gc


def is_due(schedule: str, last: datetime) -> bool:
    """Whether a time of the schedule has come since `last`."""
    return bool(_cron(schedule, lambda: datetime.now(UTC)).is_due(last).is_due)


def next_run(gc: Gc, now: datetime) -> datetime | None:
    """When the schedule has one made next, which is when the window is open; None without a schedule."""
    if not gc.schedule:
        return None
    return opens_at(gc.window or (), next_time(gc.schedule, now))


def next_time(schedule: str, now: datetime) -> datetime:
    """The next time of a schedule."""
    return now + _cron(schedule, lambda: now).remaining_estimate(now)


def too_early(gc: Gc, now: datetime, done_ms: int | None) -> str | None:
    """Why none may begin yet, as one sentence, or None. done_ms: the end of the last good one."""
    if gc.window and not is_open(gc.window, now):
        opens = opens_at(gc.window, now)
        return f"it may begin only within gc.window ({spell_window(gc.window)} UTC): tried again at {opens:%H:%M} UTC"
    if done_ms is not None and now < datetime.fromtimestamp(done_ms / 1000, UTC) + timedelta(seconds=gc.min_interval):
        return f"the last one ended less than gc.min_interval ({spell_duration(gc.min_interval)}) ago"
    return None


def _cron(schedule: str, now: Callable[[], datetime]) -> crontab:
    minute, hour, day, month, weekday = schedule.split()
    return crontab(
        minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday, nowfun=now
    )  # fmt: skip
