"""The storage that images use: now, and over time by the first part of repository names."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from service.domain.usage import OTHER, SHARED, Usage
from service.reports.inventory import Inventory
from service.store import Store

_LIFE_S = 60.0
_PATIENCE_S = 2.0

_MOST_BANDS = 6


@dataclass(frozen=True, slots=True)
class UsageBand:
    """One part of the storage over time. sizes_bytes: one size for each time of its series.

    Attributes:
        name: the first part of repository names, such as "shop"; or "(shared)" and "(other)", which are no names.
    """

    name: str
    sizes_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UsageSeries:
    """The storage used over a period: hourly records that workers made, and as the last point the current usage.

    Attributes:
        at_ms: the times, the oldest first. Times without a record are missing.
        sizes_bytes: the total at each time; each blob counts once.
        bands: parts that add up to the total: the largest prefixes, the largest first, then "(shared)": blobs that
            several prefixes use, and "(other)". A band that is always empty is left out.
        change_bytes: from the first time to the last; None with fewer than two times.
    """

    at_ms: tuple[int, ...]
    sizes_bytes: tuple[int, ...]
    bands: tuple[UsageBand, ...]
    change_bytes: int | None


def current_usage(store: Store) -> Usage | None:
    """Return the storage used, measured by a worker at `at_ms`; None if no worker has measured it yet.

    It is measured again within about a minute of a change (later if that takes long). If `unknown` is not 0, the sizes
    of so many tags are not known yet: say "at least". Raises StoreUnavailable if Redis is unavailable.
    """
    return store.usage.now()


def usage_series(store: Store, length_ms: int, now_ms: int, points: int = 200, bands: int = _MOST_BANDS) -> UsageSeries:
    """Return the storage used in the last `length_ms`, for a stacked chart.

    Args:
        points: times to return, at most; of more, some are left out evenly.
        bands: prefixes with a band of their own, at most.

    Raises:
        StoreUnavailable: Redis is unavailable.
    """
    records = list(store.usage.since(now_ms - length_ms))
    if (current := store.usage.now()) and (not records or current.at_ms > records[-1].at_ms):
        records.append(current)
    chosen = _thinned(records, points)
    sizes = tuple(usage.size_bytes for usage in chosen)
    change_bytes = sizes[-1] - sizes[0] if len(sizes) > 1 else None
    return UsageSeries(tuple(usage.at_ms for usage in chosen), sizes, _bands(chosen, bands), change_bytes)


def _thinned(records: Sequence[Usage], points: int) -> tuple[Usage, ...]:
    """Return every n-th record, counted from the newest."""
    step = -(-len(records) // points) or 1
    return tuple(records[::-1][::step][::-1])


def _bands(records: Sequence[Usage], most: int) -> tuple[UsageBand, ...]:
    # The newest record decides the order; a prefix that was deleted since keeps its band if it was large.
    weights = Counter[str]()
    for usage in records:
        weights.update(usage.prefixes)
    last = records[-1].prefixes if records else {}
    ranked = sorted(weights, key=lambda name: (-last.get(name, 0), -weights[name], name))
    largest = [name for name, _ in weights.most_common(most)]
    names = [name for name in ranked if name in largest]
    parts = [{name: usage.bands.get(name, 0) for name in (*names, SHARED)} for usage in records]
    rest = [usage.size_bytes - sum(part.values()) for usage, part in zip(records, parts, strict=True)]
    bands = [UsageBand(name, tuple(part[name] for part in parts)) for name in (*names, SHARED)]
    bands.append(UsageBand(OTHER, tuple(rest)))
    return tuple(band for band in bands if any(band.sizes_bytes))


@dataclass(frozen=True, slots=True)
class _Measured:
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

    Repositories for which there is no time are left out; `measured` shows that.
    """

    def __init__(self, inventory: Inventory, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._inventory, self._clock = inventory, clock
        self._lock, self._usage, self._until_s = Lock(), _Measured(0, 0, 0, 0), float("-inf")

    def current(self) -> _Measured:
        """Return the last size, or measure it again. Raises StoreUnavailable if Redis is unavailable."""
        with self._lock:
            if self._clock() >= self._until_s:
                self._usage = self._measured()
                self._until_s = self._clock() + _LIFE_S
            return self._usage

    def _measured(self) -> _Measured:
        end_s = self._clock() + _PATIENCE_S
        names, tags = self._inventory.names(), self._inventory.totals().tags
        seen: set[str] = set()
        size_bytes = 0
        for measured, name in enumerate(names):
            # The first repository is always measured, however long that takes.
            if measured and self._clock() >= end_s:
                return _Measured(len(names), tags, size_bytes, measured)
            for blobs in self._inventory.layers(name).values():
                for mark, size in blobs:
                    if mark not in seen:
                        seen.add(mark)
                        size_bytes += size
        return _Measured(len(names), tags, size_bytes, len(names))
