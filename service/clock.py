"""This machine's clocks. The domain never looks at them: time comes in as an argument."""

import time

# Unlike time.monotonic(), this clock goes on while a machine is suspended, and leases end meanwhile. Only Linux has it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_us() -> int:
    """µs since the epoch."""
    return time.time_ns() // 1000


def now_ms() -> int:
    """Ms since the epoch."""
    return time.time_ns() // 1_000_000


def elapsed_s() -> float:
    """The time in seconds of a clock that is never set. Only differences between two of its times mean anything."""
    return time.clock_gettime(_CLOCK)
