"""How many examples hypothesis tries: a third where `deep` tests are left out, all in `make test-deep`."""

from collections.abc import Callable
from typing import Any

from hypothesis import settings

QUICK, DEEP = "quick", "deep"
_MOST = 100


def register() -> None:
    settings.register_profile(DEEP, deadline=None, max_examples=_MOST)
    settings.register_profile(QUICK, deadline=None, max_examples=_MOST // 3)


def examples(count: int) -> Callable[[Any], Any]:
    """A decorator for so many examples."""
    is_quick = settings.get_current_profile_name() == QUICK
    made: Callable[[Any], Any] = settings(deadline=None, max_examples=count // 3 if is_quick else count)
    return made
