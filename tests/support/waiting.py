"""Wait for a condition instead of sleeping."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], within_s: float = 240) -> None:
    """Wait until the condition is true. The bound is reached only by a failure."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
