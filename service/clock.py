"""This machine's clock. The domain never looks at it: time comes in as an argument."""

import time


def now_us() -> int:
    """µs since the epoch."""
    return time.time_ns() // 1000


def now_ms() -> int:
    """Ms since the epoch."""
    return time.time_ns() // 1_000_000
