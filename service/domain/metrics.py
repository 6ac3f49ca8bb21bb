"""Counters and histograms that every process adds to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Histogram name → upper bounds of its buckets in seconds. A label has only a few possible values.
TIMED = {
    "registry_request": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    "push_to_deletion": (0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300),
    "gate_wait": (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
}
COUNTED = ("plans", "deletes", "failures")


@dataclass
class Timing:
    """One histogram.

    Attributes:
        counts: upper bound of a bucket (s) → number of values in this bucket alone.
        more: number of values above the last bound.
        sum_s: sum of all values.
    """

    counts: dict[float, int]
    more: int = 0
    sum_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Metered:
    """All counters and histograms since the first start, each by (name, label)."""

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    timings: Mapping[tuple[str, str], Timing] = field(default_factory=dict)
