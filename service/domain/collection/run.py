"""One garbage collection as it is recorded, and its stages while it runs."""

from collections.abc import Iterable
from dataclasses import dataclass

# The reason of a collection that a user requested. It may start outside of gc.window and before gc.interval has passed.
MANUAL = "requested manually"

# The name of the trouble while the registry still claims to have collected blobs.
STALE = "stale cache"

# The results of runs that delete nothing.
DRY_RUN = "dry run"
UNDELETION = "undeletion"

WAITING = "waiting for pushes to end"
RESTARTING = "restarting the registry"
REHEARSING = "dry run"
LISTING = "listing the storage"
MARKING = "marking"
UNLINKING = "unlinking"
COMPARING = "comparing with the registry"
SWEEPING = "deleting blobs"
CHECKING = "verifying"

# The remark of a run without a write gate.
UNPROTECTED = "pushes were not blocked (gc.gate: none): an image pushed during the collection may be broken"


def is_manual(reason: str) -> bool:
    """True if a user requested the collection; False if a schedule or a number of deletions did."""
    return reason.startswith(MANUAL)


@dataclass(frozen=True, slots=True)
class Run:
    """One collection. Times are in ms since the epoch.

    Attributes:
        result: done | failed | postponed | dry run | undeletion.
        marked: number of marked blobs and manifests.
        blobs: number of deleted blobs; in a dry run, of blobs that would be deleted.
        manifests: number of deleted manifests.
        bytes_freed: size of these blobs; None if no size is known.
        message: one sentence if something failed.
        gate: the kind of write gate that protected pushes.
        unsized: number of these blobs whose size is not known, so that bytes_freed is a lower bound.
        final: number of deletions that can no longer be undone since this collection.
        checked: number of manifests pushed during the collection whose blobs were verified afterwards.
        note: a remark for the operator, such as a missing protection.
        closed_ms: how long the write gate was closed.
        unlinked: number of blobs whose links an online collection deleted; a later one deletes their data.
        held_ms: the longest time for which an online collection had a digest claimed, so that requests for it waited.
        quarantined: number of deleted blobs that are in quarantine, from where they can be brought back.
        quarantined_bytes: their size.
        quarantined_until_ms: the first collection after this time deletes the last of them.
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
    unlinked: int = 0
    held_ms: int = 0
    quarantined: int = 0
    quarantined_bytes: int = 0
    quarantined_until_ms: int | None = None

    @property
    def remarks(self) -> str:
        """The note without the remark on a missing write gate, which every run would repeat."""
        return "; ".join(part for part in self.note.split("; ") if part and part != UNPROTECTED)


@dataclass(frozen=True, slots=True)
class CollectionStage:
    """A collection that is in progress.

    Attributes:
        stage: the current stage, one of the constants above.
        since_ms: the start of this stage.
        started_ms: the start of the collection.
        reason: why the collection was requested.
        done: the number of items of this stage that are done: objects, manifests or blobs.
        total: the number of its items; 0 if it is not known.
        done_bytes: the size of the blobs that are done.
        total_bytes: the size of all blobs of this stage; 0 if it is not known.
    """

    stage: str
    since_ms: int
    started_ms: int
    reason: str
    done: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0

    @property
    def percent(self) -> int | None:
        """The share of this stage that is done; None if it is not known."""
        return min(100, 100 * self.done // self.total) if self.total else None


@dataclass(frozen=True, slots=True)
class Postponement:
    """The reason why a requested collection does not start yet.

    Attributes:
        message: the latest reason, one sentence.
        since_ms: the first time this reason was noted.
        at_ms: the last time.
        times: how often.
    """

    message: str
    since_ms: int
    at_ms: int
    times: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of all runs since the first start.

    Attributes:
        runs: result → number of runs.
        done_ms: the end of the last successful run; None if there was none.
        took_ms: the duration of that run.
    """

    runs: dict[str, int]
    blobs: int
    size_bytes: int
    done_ms: int | None
    took_ms: int | None


@dataclass(frozen=True, slots=True)
class BlobProbe:
    """A blob that is about to be collected, in a repository that has it. After the sweep, the registry must deny it."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that is not verified yet.

    Attributes:
        since_ms: the start of its collection.
        probes: the blobs that show whether the registry's cache is stale.
    """

    since_ms: int
    probes: tuple[BlobProbe, ...] = ()


@dataclass(frozen=True, slots=True)
class Undeletion:
    """A request to bring data back from quarantine.

    Attributes:
        digests: of the blobs; none: only what manifests need and do not have.
    """

    reason: str
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The result of a dry run at at_ms.

    Attributes:
        blobs: (digest, size in bytes or None if unknown) of each blob that would be deleted, the largest first.
    """

    at_ms: int
    blobs: tuple[tuple[str, int | None], ...]

    @property
    def size_bytes(self) -> int | None:
        """The total of the known sizes; None if no size is known."""
        return total(size for _, size in self.blobs)

    @property
    def unsized(self) -> int:
        """The number of blobs whose size is not known."""
        return sum(size is None for _, size in self.blobs)


def total(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of the known sizes; None if there are sizes and none of them is known."""
    all_sizes = tuple(sizes)
    known = [size for size in all_sizes if size is not None]
    return sum(known) if known or not all_sizes else None
