"""How much the images of all repositories hold together, each config and layer counted once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from service.store.catalog import Catalog
from service.store.history import History

_LIFE_S = 60.0
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Weight:
    """tags: live ones. size_bytes: of the configs and layers that are known, in the first `weighed` repositories.

    repositories: how many there are.
    """

    repositories: int
    tags: int
    size_bytes: int
    weighed: int


class Scales:
    """Weighs at most once a minute, and not for long: what there was no time for is left out, and said."""

    def __init__(self, history: History, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds that only grow."""
        self._history, self._catalog, self._clock = history, catalog, clock
        self._lock, self._weight, self._until_s = Lock(), Weight(0, 0, 0, 0), float("-inf")

    def weigh(self) -> Weight:
        """Raises StoreUnavailable when Redis is away."""
        with self._lock:
            if self._clock() >= self._until_s:
                self._weight = self._weighed()
                self._until_s = self._clock() + _LIFE_S
            return self._weight

    def _weighed(self) -> Weight:
        names = self._history.repositories()
        end_s = self._clock() + _PATIENCE_S
        tags = sum(shelf.tags for shelf in self._catalog.shelves(names))
        seen: set[str] = set()
        size_bytes = 0
        for weighed, name in enumerate(names):
            if weighed and self._clock() >= end_s:
                return Weight(len(names), tags, size_bytes, weighed)
            for blobs in self._history.layers(name).values():
                for mark, size in blobs:
                    if mark not in seen:
                        seen.add(mark)
                        size_bytes += size
        return Weight(len(names), tags, size_bytes, len(names))
