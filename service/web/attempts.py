"""Failed logins, counted by address. After too many of them the address must wait."""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

_WITHIN_S = 60.0
_AT_MOST = 10
_ADDRESSES = 1000


class Attempts:
    """Failed attempts in this process, by address.

    Args:
        clock: seconds that only grow.
        pause_s: after too many failures the address may try once in this time; None: not before the minute ends.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, pause_s: float | None = None) -> None:
        self._clock, self._pause_s, self._lock = clock, pause_s, Lock()
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._heard: dict[str, float] = {}

    def wait_s(self, address: str) -> float:
        """Return how long this address has to wait, in seconds; 0 if the address may try now.

        With `pause_s` a 0 counts as the try: the next call within that time returns more.
        """
        with self._lock:
            owner, now_s = owner_of(address), self._clock()
            failed = self._failed.get(owner)
            if failed is None or len(failed) < _AT_MOST:
                return 0.0
            left_s = max(0.0, failed[0] + _WITHIN_S - now_s)
            if self._pause_s is None or not left_s:
                return left_s
            pause_s = max(0.0, self._heard.get(owner, failed[-1]) + self._pause_s - now_s)
            if not pause_s:
                self._heard[owner] = now_s
            return pause_s

    def failed(self, address: str) -> None:
        """Count a failed attempt."""
        with self._lock:
            owner = owner_of(address)
            self._failed.setdefault(owner, deque(maxlen=_AT_MOST)).append(self._clock())
            self._failed.move_to_end(owner)
            # Bounded memory: the address without a failure for the longest time is dropped first.
            while len(self._failed) > _ADDRESSES:
                forgotten, _ = self._failed.popitem(last=False)
                self._heard.pop(forgotten, None)


def owner_of(address: str) -> str:
    """Return the address that failures count for: of IPv6 the network of 64 bits (RFC 4291, 2.5.1)."""
    try:
        asking = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(asking, ipaddress.IPv4Address) or asking.ipv4_mapped:
        return address
    # One customer has a whole IPv6 network, and could use a new address for each attempt.
    return str(ipaddress.ip_network((int(asking), 64), strict=False))
