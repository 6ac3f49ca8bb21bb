"""Request a garbage collection, and describe the past, the running and the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.collect.garbage import garbage
from service.collect.times import next_run, too_early
from service.dispatch import Dispatch
from service.domain.collection.garbage import Garbage
from service.domain.collection.online import LONGEST_REQUEST_S
from service.domain.collection.output import lines_of
from service.domain.collection.run import (
    MANUAL,
    CollectionStage,
    Postponement,
    Rehearsal,
    Run,
    Totals,
    Undeletion,
    is_manual,
)
from service.domain.errors import ConfigurationError, NotWaiting
from service.domain.oci.names import is_digest
from service.registry import Registry
from service.settings.gc import GcSettings
from service.store import Store
from service.store.gate import GateState

# The number of past runs that Redis keeps by default.
_RECORDED = 1000


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """All about collections, at one moment.

    Attributes:
        running: the running collection.
        queued: the reason of the queued collection; None if none is queued.
        postponed: what the queued collection waits for.
        next_ms: when the schedule starts the next collection.
        gate: the write gate; None while it is open.
        permanent: the number of deletions that the next collection makes permanent.
        garbage: that the last collection or dry run saw; None if there was none.
        runs: past collections, the newest first.
    """

    running: CollectionStage | None
    queued: str | None
    postponed: Postponement | None
    next_ms: int | None
    gate: GateState | None
    permanent: int
    garbage: Garbage | None
    runs: tuple[Run, ...]


def overview(store: Store, registry: Registry, gc: GcSettings, runs: int = 20) -> CollectionStatus:
    """Describe all collections; `runs` limits the past ones. Raises StoreUnavailable if Redis is unavailable."""
    collections, wanted = store.collections, store.collections.requested()
    return CollectionStatus(
        running=collections.progress(),
        queued=wanted,
        postponed=collections.wait() if wanted else None,
        next_ms=next_ms(registry, gc),
        gate=store.gate.state(),
        permanent=at_stake(store, gc),
        garbage=garbage(store, gc),
        runs=store.collection_runs.latest(runs),
    )


@dataclass(frozen=True, slots=True)
class QueuedWork:
    """The work that waits for a collection or a dry run.

    Attributes:
        rehearsal: the reason of the queued dry run; None if none is queued.
        pushes: pushes that are open, in words: a collection waits for their end.
        has_worker: True if a worker is running.
    """

    rehearsal: str | None
    pushes: tuple[str, ...]
    has_worker: bool


def queue(store: Store) -> QueuedWork:
    """Describe the work that waits for a collection or a dry run."""
    return QueuedWork(store.collections.rehearsal_requested(), store.pushes.repositories(), store.outbox.workers() > 0)


def queued(store: Store) -> str | None:
    """Return the reason of the queued collection, None if none is queued."""
    return store.collections.requested()


def past(store: Store, count: int) -> tuple[tuple[Run, ...], Totals]:
    """Return the latest runs, newest first, and the totals of all runs."""
    return store.collection_runs.latest(count), store.collection_runs.totals()


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run that ended, and the output of its collectors.

    Attributes:
        log: the whole output as a gzip file; None if it is not kept.
    """

    run: Run
    log: bytes | None

    def lines(self) -> tuple[str, ...]:
        """Return the lines of the output; none if it is not kept."""
        return tuple(lines_of(self.log)) if self.log else ()


def recorded(store: Store, started_ms: int) -> RecordedRun | None:
    """Return the run that began at this time; None if no such run is recorded."""
    run = next((run for run in store.collection_runs.latest(_RECORDED) if run.started_ms == started_ms), None)
    return RecordedRun(run, store.collection_runs.log(started_ms)) if run else None


def latest_recorded(store: Store) -> RecordedRun | None:
    """Return the latest run that has an output; None if there is none."""
    runs = ((run, store.collection_runs.log(run.started_ms)) for run in store.collection_runs.latest(_RECORDED))
    return next((RecordedRun(run, log) for run, log in runs if log), None)


def rehearsal(store: Store) -> Rehearsal | None:
    """Return the result of the last dry run of the last day; None if there was none."""
    return store.collections.rehearsal()


@dataclass(frozen=True, slots=True)
class CollectionProgress:
    """The progress of a requested run.

    Attributes:
        ended: the run, once it has ended.
        stage: of the running collection; None if none is running.
        is_queued: True if a collection is queued.
        has_worker: True if a worker is running.
    """

    ended: Run | None
    stage: CollectionStage | None
    is_queued: bool
    has_worker: bool


def progress(store: Store, reason: str, since_ms: int) -> CollectionProgress:
    """Describe the progress of the run that was requested for this reason at this time (ms since the epoch)."""
    ended = [run for run in store.collection_runs.latest(5) if run.started_ms >= since_ms and run.reason == reason]
    return CollectionProgress(
        ended=ended[-1] if ended else None,
        stage=store.collections.progress(),
        is_queued=store.collections.requested() is not None,
        has_worker=store.outbox.workers() > 0,
    )


def at_stake(store: Store, gc: GcSettings) -> int:
    """Return the number of deletions that the next collection makes permanent, at most."""
    if gc.collector == "online":
        # The blobs of an image were unlinked after its deletion, and are deleted gc.grace later. From the
        # quarantine it can be restored. For a full disk there is no quarantine.
        grace_s = store.collections.requested_grace_s()
        kept_s = gc.grace + gc.quarantine if grace_s is None else min(grace_s, gc.grace)
        return store.stats.trashed(store.connection.now_us() - kept_s * 1_000_000)
    return store.stats.trashed()


def gate_state(store: Store) -> GateState | None:
    """Return the write gate with its holder while it is draining or closed; None while it is open."""
    return store.gate.state()


def open_gate(store: Store, token: str) -> None:
    """Open the gate of this holder, whose collector runs no more, and end the trouble about it."""
    store.gate.open(token)
    store.outbox.end_trouble("gate")


def permanent(count: int) -> str:
    """Describe the effect of a collection on deletions that can still be undone."""
    if count == 0:
        return "no deletion becomes permanent"
    # An image that was restored counts until it is deleted again.
    return f"up to {count} {'deletion becomes' if count == 1 else 'deletions become'} permanent"


def next_ms(registry: Registry, gc: GcSettings) -> int | None:
    """The time of the next scheduled collection (ms); None if no collector or no schedule is configured."""
    next_time = next_run(gc, datetime.now(UTC)) if registry.collector else None
    return round(next_time.timestamp() * 1000) if next_time else None


def request_collection(
    store: Store, registry: Registry, dispatch: Dispatch, *, dry_run: bool, grace_s: int | None = None, by: str = ""
) -> str:
    """Request a collection now, or only a dry run, and return the reason that its record will show.

    Args:
        grace_s: the grace of an online collection, instead of gc.grace and gc.quarantine, for a full disk.
        by: the interface through which the user asks, such as the dashboard.

    Raises:
        ConfigurationError: no collector is configured, or it cannot have this grace.
    """
    if grace_s is not None and grace_s < LONGEST_REQUEST_S:
        raise ConfigurationError("the grace must be at least 15m, because a request may take that long")
    if grace_s is not None and not registry.unlinks:
        raise ConfigurationError("only a collection with gc.collector: online has a grace")
    if registry.collector is None:
        raise ConfigurationError("gc.command is not set: set it to the registry's garbage-collect command")
    reason = f"{MANUAL} ({by})" if by else MANUAL
    if dry_run:
        reason = f"a dry run {reason}"
        store.collections.request_rehearsal(reason)
    else:
        store.collections.request(reason, grace_s)
    dispatch.collect()
    return reason


def request_undeletion(
    store: Store, registry: Registry, dispatch: Dispatch, digests: Sequence[str], by: str = ""
) -> str:
    """Request that data is brought back from quarantine, and return the reason that the record will show.

    Args:
        digests: of the blobs; none: only what manifests need and do not have.
        by: the interface through which the user asks, such as the dashboard.

    Raises:
        ConfigurationError: there is no quarantine, or a digest is none.
    """
    if registry.collector is None or not registry.unlinks:
        raise ConfigurationError("only online collections have a quarantine: set gc.collector: online")
    if wrong := [digest for digest in digests if not is_digest(digest) or not digest.startswith("sha256:")]:
        raise ConfigurationError(f"{wrong[0][:80]!r} is no digest: write sha256: and 64 hexadecimal digits")
    reason = f"an undeletion {MANUAL} ({by})" if by else f"an undeletion {MANUAL}"
    store.collections.request_undeletion(Undeletion(reason, tuple(digests)))
    dispatch.collect()
    return reason


def is_running(store: Store) -> bool:
    """True if a collection is running."""
    return store.collections.progress() is not None


def cancel(store: Store) -> str:
    """Cancel the queued collection, so that it makes no deletion permanent, and return its reason.

    Raises:
        NotWaiting: no collection is queued, or the collection has begun to delete blobs.
    """
    reason = store.collections.cancel()
    if reason is not None:
        return reason
    if store.collections.open_check():
        raise NotWaiting("the collection has begun to delete blobs: it cannot be cancelled any more")
    raise NotWaiting("no collection is queued")


def why_not_yet(store: Store, gc: GcSettings, reason: str) -> str | None:
    """Return the reason why a collection may not begin yet; None if it may.

    A collection that a user requested may begin at any time.

    Args:
        reason: of the collection.
    """
    if is_manual(reason):
        return None
    return too_early(gc, datetime.now(UTC), store.collection_runs.totals().done_ms)
