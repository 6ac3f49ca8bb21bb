"""Makers for tests of healing."""

from collections.abc import Callable
from typing import TypeVar

from tests.support.system import System

Done = TypeVar("Done")


def unheard(system: System, do: Callable[[], Done]) -> Done:
    """A push or delete whose events are late."""
    system.deaf = True
    done = do()
    system.deaf = False
    return done
