"""The rejection of a plan by an operator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rejected plan.

    Attributes:
        plan: the name of the plan.
        by: the user who rejected it.
        at_us: when, in µs since the epoch.
    """

    plan: str
    by: str
    at_us: int
