"""A tally: how much happened when."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tally:
    """counts: beginning of a stretch (ms) → action → how often. is_whole: False where more had to be read than was."""

    counts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    is_whole: bool = True
