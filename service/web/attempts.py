"""Failed logins: after so many of them nobody from that address is listened to for a while."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

_WITHIN_S = 60.0
_AT_MOST = 10
_ADDRESSES = 1000


class Attempts:
    """Of this process, by address. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long this address has to wait; 0: it is listened to."""
        with self._lock:
            failed = self._failed.get(address)
            if failed is None or len(failed) < _AT_MOST:
                return 0.0
            return max(0.0, failed[0] + _WITHIN_S - self._clock())

    def failed(self, address: str) -> None:
        with self._lock:
            self._failed.setdefault(address, deque(maxlen=_AT_MOST)).append(self._clock())
            self._failed.move_to_end(address)
            while len(self._failed) > _ADDRESSES:
                self._failed.popitem(last=False)
