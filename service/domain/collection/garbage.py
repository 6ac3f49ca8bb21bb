"""Garbage by repository and by age: the blobs that no manifest needs, as one look at the storage showed them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from service.domain.collection.leftovers import Leftover

# Blobs are grouped by the hour.
_HOUR_MS = 3_600_000


class GarbageStage(StrEnum):
    """The way of garbage through online collections, in its order."""

    YOUNG = "younger than gc.youth"
    UNUSED = "unused"
    UNLINKED = "unlinked"
    QUARANTINED = "in quarantine"


@dataclass(frozen=True, slots=True)
class RepositoryGarbage:
    """The garbage of one repository. `repository` is "" for blobs that no repository has a link to any more."""

    repository: str
    blobs: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GarbageStep:
    """Garbage of the same age.

    Attributes:
        since_ms: when the stage began, at the latest; of young blobs the time of their push. None: not recorded.
        freed_ms: when its space becomes free, at the earliest; None: not known.
    """

    stage: GarbageStage
    since_ms: int | None
    blobs: int
    size_bytes: int
    freed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Garbage:
    """The garbage of a storage at one moment.

    Attributes:
        repositories: the largest first. A blob that several repositories had counts in each of them.
        steps: by age, for online collections only.
        leftovers: by kind and repository, for online collections only.
    """

    at_ms: int
    repositories: tuple[RepositoryGarbage, ...] = ()
    steps: tuple[GarbageStep, ...] = ()
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True, slots=True)
class GarbagePeriods:
    """The periods that garbage waits for, in ms: gc.youth, gc.grace, gc.quarantine."""

    youth_ms: int
    grace_ms: int
    quarantine_ms: int


def by_repository(blobs: Iterable[tuple[int, Collection[str]]]) -> tuple[RepositoryGarbage, ...]:
    """Return the garbage of each repository, the largest first.

    Args:
        blobs: size and repositories of each blob.
    """
    sums: dict[str, tuple[int, int]] = {}
    for size_bytes, repositories in blobs:
        for name in repositories or ("",):
            count, total = sums.get(name, (0, 0))
            sums[name] = count + 1, total + size_bytes
    shares = (RepositoryGarbage(name, count, total) for name, (count, total) in sums.items())
    return tuple(sorted(shares, key=lambda share: (-share.size_bytes, share.repository)))


def by_age(blobs: Iterable[tuple[GarbageStage, int | None, int]]) -> tuple[GarbageStep, ...]:
    """Group blobs by stage and hour.

    Args:
        blobs: stage, its beginning (ms) and size of each blob.
    """
    sums: dict[tuple[GarbageStage, int | None], tuple[int, int, int]] = {}
    for stage, since_ms, size_bytes in blobs:
        group = (stage, None if since_ms is None else since_ms // _HOUR_MS)
        latest_ms, count, total = sums.get(group, (0, 0, 0))
        sums[group] = max(since_ms or 0, latest_ms), count + 1, total + size_bytes
    steps = (
        GarbageStep(stage, None if hour is None else latest_ms, count, total)
        for (stage, hour), (latest_ms, count, total) in sums.items()
    )
    stages = tuple(GarbageStage)
    return tuple(sorted(steps, key=lambda step: (stages.index(step.stage), step.since_ms or 0)))


def freed_ms(step: GarbageStep, periods: GarbagePeriods, now_ms: int, collection_after: Callable[[int], int]) -> int:
    """Return when the space of a step becomes free, at the earliest.

    Args:
        periods: that it waits for.
        collection_after: the first collection at this time (ms) or later.
    """
    waits = {
        GarbageStage.YOUNG: (periods.youth_ms, periods.grace_ms),
        GarbageStage.UNUSED: (0, periods.grace_ms),
        GarbageStage.UNLINKED: (periods.grace_ms,),
        GarbageStage.QUARANTINED: (),
    }
    at_ms = now_ms if step.since_ms is None else step.since_ms
    quarantine = (periods.quarantine_ms,) if periods.quarantine_ms or step.stage is GarbageStage.QUARANTINED else ()
    for wait_ms in (*waits[step.stage], *quarantine):
        at_ms = collection_after(max(at_ms + wait_ms, now_ms))
    return at_ms
