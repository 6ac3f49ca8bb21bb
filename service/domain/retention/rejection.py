"""A plan that somebody looked at and does not want."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """plan: its name; by: who refused it, at_us: when (µs since the epoch)."""

    plan: str
    by: str
    at_us: int
