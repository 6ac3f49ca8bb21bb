"""The size of the images of all repositories together, with each config and layer counted once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from service.reports.inventory import Inventory

_LIFE_S = 60.0
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The size of all images.

    Attributes:
        repositories: the number of repositories.
        tags: the number of live tags.
        size_bytes: of the known configs and layers in the first `measured` repositories.
        measured: the number of repositories for which there was time.
    """

    repositories: int
    tags: int
    size_bytes: int
    measured: int


class DiskUsage:
    """Measures the size of all images, at most once a minute and for a limited time.

    Repositories for which there is no time are left out; `Usage.measured` shows that.
    """

    def __init__(self, inventory: Inventory, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._inventory, self._clock = inventory, clock
        self._lock, self._usage, self._until_s = Lock(), Usage(0, 0, 0, 0), float("-inf")

    def current(self) -> Usage:
        """Return the last size, or measure it again. Raises StoreUnavailable if Redis is unavailable."""
        with self._lock:
            if self._clock() >= self._until_s:
                self._usage = self._measured()
                self._until_s = self._clock() + _LIFE_S
            return self._usage

    def _measured(self) -> Usage:
        end_s = self._clock() + _PATIENCE_S
        names, tags = self._inventory.names(), self._inventory.totals().tags
        seen: set[str] = set()
        size_bytes = 0
        for measured, name in enumerate(names):
            # The first repository is always measured, however long that takes.
            if measured and self._clock() >= end_s:
                return Usage(len(names), tags, size_bytes, measured)
            for blobs in self._inventory.layers(name).values():
                for mark, size in blobs:
                    if mark not in seen:
                        seen.add(mark)
                        size_bytes += size
        return Usage(len(names), tags, size_bytes, len(names))
