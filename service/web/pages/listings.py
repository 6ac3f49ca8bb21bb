"""The tags of repositories that somebody looks at, with their verdicts: not decided anew for each look."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from service.inventory import Listed
from service.wiring import Wiring

_LIFE_S = 10.0
_KEPT = 32


@dataclass(frozen=True, slots=True)
class _Listing:
    generation: str
    policy: str
    until_s: float
    rows: tuple[Listed, ...]


class Listings:
    """Anew after each push or delete, and for another policy; for what pulls and time change, every ten seconds."""

    def __init__(self, wiring: Wiring, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds that only grow."""
        self._wiring, self._clock, self._lock = wiring, clock, Lock()
        self._kept: OrderedDict[str, _Listing] = OrderedDict()

    def of(self, repository: str) -> tuple[Listed, ...]:
        """All live tags, the newest push first. Raises StoreUnavailable when Redis is away."""
        self._wiring.policies.current()
        generation, policy = self._wiring.history.generation(repository), self._wiring.policies.digest
        with self._lock:
            kept = self._kept.get(repository)
        if kept and (kept.generation, kept.policy) == (generation, policy) and self._clock() < kept.until_s:
            return kept.rows
        rows = self._wiring.inventory.tags(repository, lambda name: True).rows
        with self._lock:
            self._kept[repository] = _Listing(generation, policy, self._clock() + _LIFE_S, rows)
            self._kept.move_to_end(repository)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return rows
