"""One measured figure, and the arithmetic that all figures share."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement in words. met: the target is reached; None = measured for information, no target."""

    name: str
    measured: str
    target: str = ""
    met: bool | None = None


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` % of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float], unit: str) -> str:
    """Spell the figure, such as `812/s (790–840)`: the median, the least and the most."""
    return f"{median(values):,.0f}{unit} ({min(values):,.0f}–{max(values):,.0f})"
