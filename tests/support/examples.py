"""The number of examples of hypothesis: all in `make test-deep`, a third in `make test`, a tenth in `make check`."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

_MOST = 100
_PARTS = {"deep": 1, "quick": 3, "brief": 10}


def choose(markers: str) -> None:
    """Choose the number of examples by the tests that `-m` selects."""
    for name, part in _PARTS.items():
        # A busy machine must turn no test red because examples are made slowly.
        slow = [HealthCheck.too_slow]
        settings.register_profile(name, deadline=None, max_examples=_MOST // part, suppress_health_check=slow)
    settings.load_profile("brief" if "not slow" in markers else "quick" if "not deep" in markers else "deep")


def part_of(count: int) -> int:
    """The number of examples of so many that belong to what `-m` leaves out."""
    return count // _PARTS[settings.get_current_profile_name()]


def examples(count: int) -> Callable[[Any], Any]:
    """A decorator for so many examples."""
    made: Callable[[Any], Any] = settings(deadline=None, max_examples=part_of(count))
    return made
