"""The geometry of charts, for templates that draw them as SVG: without scripts, in the colours of the page.

Positions are in percent of the drawing area; paths are in a square of SIDE units that the browser stretches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SIDE = 1000
_STEPS = (1, 2, 5, 10)
_MOST_TICKS = 4
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_GAP = 0.2


@dataclass(frozen=True, slots=True)
class Scale:
    """The vertical axis. ticks: its labelled values, evenly spaced from 0 to the top."""

    ticks: tuple[int, ...]

    @property
    def top(self) -> int:
        """The highest label."""
        return self.ticks[-1]

    def height(self, value: float) -> float:
        """Return the height of a value, in percent."""
        return round(100 * value / self.top, 2)


@dataclass(frozen=True, slots=True)
class Column:
    """One step of a bar chart. bars: (position, width, height) of each series, in percent; middle: of the step."""

    left: float
    width: float
    middle: float
    bars: tuple[tuple[float, float, float], ...]


def scale(highest: int) -> Scale:
    """Return an axis with round, whole labels that holds this value."""
    magnitude = 10 ** max(len(str(max(highest, 1))) - 2, 0)
    while True:
        for factor in _STEPS:
            step = magnitude * factor
            if step * _MOST_TICKS >= highest:
                count = max(-(-highest // step), 1)
                return Scale(tuple(step * number for number in range(count + 1)))
        magnitude *= 10


def columns(series: Sequence[Sequence[int]], axis: Scale) -> tuple[Column, ...]:
    """Return the columns of a bar chart: the bars of all series side by side in each step."""
    count = len(series[0])
    width = 100 / count
    bar = width * (1 - _GAP) / len(series)
    return tuple(
        Column(
            left=round(step * width, 3),
            width=round(width, 3),
            middle=round((step + 0.5) * width, 3),
            bars=tuple(
                (round(step * width + width * _GAP / 2 + bar * number, 3), round(bar, 3), axis.height(values[step]))
                for number, values in enumerate(series)
            ),
        )
        for step in range(count)
    )


def bands(at_ms: Sequence[int], series: Sequence[Sequence[int]], axis: Scale) -> tuple[str, ...]:
    """Return the outline of each series of a stacked area chart, the first series at the bottom. Needs two times."""
    across = [round(SIDE * share) for share in shares(at_ms)]
    floors = [0] * len(at_ms)
    paths = []
    for values in series:
        tops = [floor + value for floor, value in zip(floors, values, strict=True)]
        above = [f"{x} {_down(top, axis)}" for x, top in zip(across, tops, strict=True)]
        below = [f"{x} {_down(floor, axis)}" for x, floor in zip(across, floors, strict=True)]
        paths.append(f"M{'L'.join(above)}L{'L'.join(reversed(below))}Z")
        floors = tops
    return tuple(paths)


def shares(at_ms: Sequence[int]) -> tuple[float, ...]:
    """Return the position of each time between the first and the last, from 0 to 1."""
    first, length = at_ms[0], max(at_ms[-1] - at_ms[0], 1)
    return tuple((time - first) / length for time in at_ms)


def zones(at_ms: Sequence[int]) -> tuple[tuple[float, float], ...]:
    """Return (position, width) of the strip around each time, in percent: pointing at a strip shows its figures."""
    at = shares(at_ms)
    edges = (0.0, *((left + right) / 2 for left, right in pairwise(at)), 1.0)
    return tuple((round(100 * left, 2), round(100 * (right - left), 2)) for left, right in pairwise(edges))


def moments(first_ms: int, last_ms: int) -> tuple[int, ...]:
    """Return evenly spaced times for the labels of the horizontal axis, so few that no two show the same minute."""
    gaps = max(1, min(_MOST_TICKS, (last_ms - first_ms) // _MINUTE_MS))
    return tuple(first_ms + (last_ms - first_ms) * number // gaps for number in range(gaps + 1))


def unit(first_ms: int, last_ms: int) -> str:
    """Return what the labels of the horizontal axis show: the time for up to two days, else the day."""
    return "time" if last_ms - first_ms <= 2 * _DAY_MS else "day"


def _down(value: int, axis: Scale) -> int:
    return round(SIDE * (1 - value / axis.top))
