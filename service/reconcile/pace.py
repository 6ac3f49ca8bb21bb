"""Limit the requests per second."""

import threading
import time


class Pace:
    """A limit of requests per second, shared by threads: each `take` waits for its turn."""

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until the next request may be sent."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._gap_s
        time.sleep(max(0.0, turn - time.monotonic()))

    def expect(self, requests: int) -> None:
        """Note how many requests a comparison is going to make, for a pace that shows its progress."""


class UnlimitedPace(Pace):
    """A pace without a limit."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def take(self) -> None:
        """Return at once: there is no limit."""
        return
