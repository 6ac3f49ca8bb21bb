"""No more requests a second than somebody said."""

import threading
import time


class Pace:
    """Shared by threads: each `take` waits until its turn. per_second: how many turns there are."""

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Returns when the next request may be sent."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._gap_s
        time.sleep(max(0.0, turn - time.monotonic()))


class AtOnce(Pace):
    """No waiting."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def take(self) -> None:
        return
