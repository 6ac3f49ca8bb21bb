"""The storage that images use: now, and over time by the first part of repository names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.usage import OTHER, SHARED, Usage
from service.store import Store

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


def usage_records(store: Store, length_ms: int, points: int = 200, now_ms: int | None = None) -> tuple[Usage, ...]:
    """Return the hourly records of the last `length_ms`, the oldest first, and the current usage as the last one.

    Args:
        points: records to return, at most; of more, some are left out evenly.
        now_ms: the end of the period; None: the time of the Redis server.

    Raises:
        StoreUnavailable: Redis is unavailable.
    """
    records = list(store.usage.since((now_ms or store.usage.now_ms()) - length_ms))
    if (current := store.usage.now()) and (not records or current.at_ms > records[-1].at_ms):
        records.append(current)
    return _thinned(records, points)


def usage_series(store: Store, length_ms: int, now_ms: int, points: int = 200, bands: int = _MOST_BANDS) -> UsageSeries:
    """Return the storage used in the last `length_ms`, for a stacked chart.

    Args:
        points: times to return, at most; of more, some are left out evenly.
        bands: prefixes with a band of their own, at most.

    Raises:
        StoreUnavailable: Redis is unavailable.
    """
    chosen = usage_records(store, length_ms, points, now_ms)
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
