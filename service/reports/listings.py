"""A cache of the tags, with their verdicts, of the repositories that users look at."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from service.reports.inventory import Inventory
from service.reports.tag_listing import TagListing
from service.settings import PolicySource

_LIFE_S = 10.0
_KEPT = 32


@dataclass(frozen=True, slots=True)
class _Kept:
    generation: str
    policy: str
    until_s: float
    listing: TagListing


class Listings:
    """Cached listings of tags.

    A listing is read again after each push or deletion, after a change of the policy, and after ten seconds, because
    pulls and time change verdicts, too.
    """

    def __init__(
        self, inventory: Inventory, policies: PolicySource, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create an empty cache. `clock` returns monotonic seconds."""
        self._inventory, self._policies, self._clock, self._lock = inventory, policies, clock, Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def of(self, repository: str) -> TagListing:
        """Return all live tags of the repository. Raises StoreUnavailable if Redis is not available."""
        self._policies.current()
        generation, policy = self._inventory.generation(repository), self._policies.digest
        with self._lock:
            kept = self._kept.get(repository)
        if kept and (kept.generation, kept.policy) == (generation, policy) and self._clock() < kept.until_s:
            return kept.listing
        listing = self._inventory.listing(repository)
        with self._lock:
            now_s = self._clock()
            self._kept.pop(repository, None)
            self._kept[repository] = _Kept(generation, policy, now_s + _LIFE_S, listing)
            while len(self._kept) > _KEPT or next(iter(self._kept.values())).until_s <= now_s:
                self._kept.popitem(last=False)
        return listing
