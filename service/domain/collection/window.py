"""Hours of the day in which a collection may begin, such as 22:00-06:00."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_HOURS = re.compile(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", re.ASCII)
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """A range of minutes of the day. It crosses midnight if to_min is not after from_min.

    Attributes:
        from_min: the first minute, counted from midnight.
        to_min: the minute after the last.
    """

    from_min: int
    to_min: int

    def hold(self, minute: int) -> bool:
        """True if this minute of the day is in the range."""
        if self.from_min < self.to_min:
            return self.from_min <= minute < self.to_min
        return minute >= self.from_min or minute < self.to_min

    def __str__(self) -> str:
        return f"{_clock(self.from_min)}-{_clock(self.to_min)}"


def parse_hours(text: object) -> Hours:
    """Return the hours that a text such as "22:00-06:00" names.

    Raises:
        ValueError: the text names no hours; the message is one sentence.
    """
    match = _HOURS.fullmatch(text.strip()) if isinstance(text, str) else None
    if match:
        begin_hour, begin_min, end_hour, end_min = (int(number) for number in match.groups())
        begin, end = begin_hour * 60 + begin_min, end_hour * 60 + end_min
        if max(begin_min, end_min) < 60 and begin < _DAY_MIN and end <= _DAY_MIN and begin != end:
            return Hours(begin, end)
    raise ValueError(f"{text!r} are no hours; write them such as '22:00-06:00', and 00:00-24:00 for the whole day")


def is_open(window: Iterable[Hours], at: datetime) -> bool:
    """True if the window contains this time. A window without hours is always open."""
    window = tuple(window)
    return not window or any(hours.hold(at.hour * 60 + at.minute) for hours in window)


def opens_at(window: Sequence[Hours], at: datetime) -> datetime:
    """Return `at` if the window is open then, else the next time at which it opens."""
    if is_open(window, at):
        return at
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = (midnight + timedelta(minutes=hours.from_min + day * _DAY_MIN) for hours in window for day in (0, 1))
    return min(begin for begin in begins if begin > at)


def spell_window(window: Iterable[Hours]) -> str:
    """Return the window as it is written in the settings."""
    return ", ".join(str(hours) for hours in window)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
