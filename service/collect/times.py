"""The times at which a garbage collection may begin: gc.schedule, gc.window and gc.min_interval."""

from datetime import UTC, datetime, timedelta

from service.cron import next_time
from service.domain.collection.window import is_open, opens_at, spell_window
from service.domain.policy.units import spell_duration
from service.settings.gc import GcSettings


def next_run(gc: GcSettings, now: datetime) -> datetime | None:
    """Return the next scheduled time at which `gc.window` is open, or None without a schedule."""
    if not gc.schedule:
        return None
    return opens_at(gc.window or (), next_time(gc.schedule, now))


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
