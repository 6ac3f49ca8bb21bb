"""Counts of actions over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EventCount:
    """Counts of actions per period.

    Attributes:
        counts: start of a period (ms) → action → number.
        is_whole: False if the history was too long to be read completely.
    """

    counts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    is_whole: bool = True
