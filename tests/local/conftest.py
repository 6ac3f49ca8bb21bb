"""Helpers of the local system's tests: waiting for conditions instead of sleeping, and looking at processes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest


class Eventually(Protocol):
    """Wait until the condition is true; fail loudly once `patience_s` is used up."""

    def __call__(self, condition: Callable[[], object], patience_s: float = 240.0) -> None: ...


@pytest.fixture
def eventually() -> Eventually:
    def wait(condition: Callable[[], object], patience_s: float = 240.0) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline, "the awaited condition never came true"
            time.sleep(0.01)

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """True while a process exists and is more than a zombie nobody has buried."""

    def look(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in ("Z", "X")

    return look
