"""What is counted and timed on the way, and what it came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Upper ends of the stretches (s) in which each is counted; one of its labels is a value of a small set.
TIMED = {
    "registry_request": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    "push_to_gone": (0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300),
    "gate_wait": (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
}
COUNTED = ("plans", "deletes", "failures")


@dataclass
class Timing:
    """counts: upper end of a stretch → how many fell into it; more: those beyond the last; sum_s: of all of them."""

    counts: dict[float, int]
    more: int = 0
    sum_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Metered:
    """counts, timings: (name, label) → what it came to, since the beginning."""

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    timings: Mapping[tuple[str, str], Timing] = field(default_factory=dict)
