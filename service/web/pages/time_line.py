"""The drawn time line of a tag: one bar for each period at one digest, from the first push until now."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.history.interval import Interval

WIDTH = 1000
_NARROWEST = 4.0
_MOST = 100
_COLOURS = 6


@dataclass(frozen=True, slots=True)
class TimeLineBar:
    """A period at one digest, drawn.

    Attributes:
        left: where the bar begins, from 0 to WIDTH.
        width: its length.
        colour: 1 to 6; the same digest has the same colour.
        number: the period's place in the list, from 0 for the latest.
    """

    left: float
    width: float
    colour: int
    number: int


@dataclass(frozen=True, slots=True)
class TimeLine:
    """The bars, and the time (µs) at which the line begins."""

    from_us: int
    bars: tuple[TimeLineBar, ...]


def began_us(interval: Interval) -> int | None:
    """Return when the tag was pushed to this digest: for an imported tag, before pushprune found it."""
    if interval.how == "adopted" and interval.pushed_us and interval.from_us:
        return min(interval.pushed_us, interval.from_us)
    return interval.from_us


def time_line(intervals: Sequence[Interval], now_us: int) -> TimeLine | None:
    """Draw the intervals, the latest first; None if no time is known or all is at one moment."""
    latest = intervals[:_MOST]
    starts = [start for start in map(began_us, latest) if start]
    if not starts or min(starts) >= now_us:
        return None
    from_us = min(starts)
    colours: dict[str, int] = {}
    for interval in reversed(latest):
        colours.setdefault(interval.digest, len(colours) % _COLOURS + 1)
    scale = WIDTH / (now_us - from_us)
    bars = []
    for number, interval in enumerate(latest):
        start_us = began_us(interval) or from_us
        # The end of a deletion may not be known: then the bar is as short as possible.
        end_us = now_us if not interval.ended else max(interval.to_us or start_us, start_us)
        width = max((end_us - start_us) * scale, _NARROWEST)
        left = min((start_us - from_us) * scale, WIDTH - width)
        bars.append(TimeLineBar(round(left, 1), round(width, 1), colours[interval.digest], number))
    return TimeLine(from_us, tuple(bars))
