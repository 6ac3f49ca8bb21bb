"""Other load on this machine: figures are taken when there is none, or say that there was some."""

import os
import time
from pathlib import Path

CALM = 0.15
_STAT = Path("/proc/stat")


def wait_for_calm(patience_s: float) -> float | None:
    """Wait until the processors idle; return the busy share in the end (0…1), None if it cannot be measured."""
    end = time.monotonic() + patience_s
    while (busy := _busy()) is not None and busy > CALM and time.monotonic() < end:
        continue
    return busy


def described(busy: float | None) -> str:
    """One sentence for the report."""
    if busy is None:
        return "how busy the machine was with other things is not known here"
    load = f"{busy:.0%} busy just before, load average {os.getloadavg()[0]:.1f}"
    return f"the machine was calm ({load})" if busy <= CALM else f"THE MACHINE WAS BUSY WITH OTHER THINGS ({load})"


def _busy(over_s: float = 1.0) -> float | None:
    """The share of all processors' time that was not idle, over the next second."""
    if not _STAT.exists():
        return None
    before = _ticks()
    time.sleep(over_s)
    after = _ticks()
    passed = [late - early for early, late in zip(before, after, strict=True)]
    return 1 - (passed[3] + passed[4]) / max(1, sum(passed))


def _ticks() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal."""
    return [int(word) for word in _STAT.read_text().splitlines()[0].split()[1:9]]
