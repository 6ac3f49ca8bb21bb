"""One garbage collection, as it is recorded, and what one is at while it runs."""

from collections.abc import Iterable
from dataclasses import dataclass

# Why a collection is wanted that somebody asked for: it needs no window and no interval.
BY_HAND = "asked for by hand"

# What the trouble is called while the registry claims blobs that were collected.
STALE = "stale cache"

WAITING = "waiting for quiet"
RESTARTING = "restarting the registry"
REHEARSING = "dry run"
COMPARING = "comparing"
SWEEPING = "sweeping"
CHECKING = "checking"


def is_by_hand(reason: str) -> bool:
    """Whether somebody asked for it, and not a schedule or a number of deletes."""
    return reason.startswith(BY_HAND)


@dataclass(frozen=True, slots=True)
class Run:
    """One collection. result: done | failed | put off | dry run. Times in ms; marked, blobs, manifests are counts.

    blobs, bytes_freed: of a dry run what would be swept. bytes_freed: None where nothing is known of it; unsized: of
    how many of the blobs the size is not known, so that it is more. message: one sentence when something went wrong.
    gate: which one protected others' pushes. final: deletions that can no longer be undone since. checked: manifests
    pushed meanwhile that were looked at, blob by blob. note: what else is to be known, such as what is not protected.
    closed_ms: for how long the write gate was closed.
    """

    started_ms: int
    ended_ms: int
    result: str
    reason: str
    exit_code: int | None = None
    marked: int = 0
    blobs: int = 0
    manifests: int = 0
    bytes_freed: int | None = None
    message: str = ""
    gate: str = ""
    unsized: int = 0
    final: int = 0
    checked: int = 0
    note: str = ""
    closed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Under:
    """A collection that is under way. stage: what it is at, since when (ms); reason: why it was wanted."""

    stage: str
    since_ms: int
    started_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a wanted collection is not made yet: the last sentence, since when and when (ms), how often it was said."""

    message: str
    since_ms: int
    at_ms: int
    times: int


@dataclass(frozen=True, slots=True)
class Totals:
    """All runs since the beginning. runs: result → how many; done_ms, took_ms: the last good one's end and length."""

    runs: dict[str, int]
    blobs: int
    size_bytes: int
    done_ms: int | None
    took_ms: int | None


@dataclass(frozen=True, slots=True)
class Probe:
    """A blob that is about to be collected, and a repository that had it: what the registry says of it is looked at."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep whose checks are not over: when its collection began (ms), and what tells of a stale cache."""

    since_ms: int
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a dry run said, at_ms: what would be swept, digest → size in bytes (None = not known), the largest first."""

    at_ms: int
    blobs: tuple[tuple[str, int | None], ...]

    @property
    def size_bytes(self) -> int | None:
        """Of those whose size is known; None where none is."""
        return total(size for _, size in self.blobs)

    @property
    def unsized(self) -> int:
        return sum(size is None for _, size in self.blobs)


def total(sizes: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None where there are some and none is."""
    every = tuple(sizes)
    known = [size for size in every if size is not None]
    return sum(known) if known or not every else None
