"""Run a garbage collection.

Two collections never run at once, none runs beside a deletion of pushprune, and a sweep follows only a dry run that
marked every manifest that exists.

job.py         one attempt: its state and its record
status.py      requests, schedule and overview
rehearse.py    the dry run while the gate is still open
quiesce.py     wait for the end of pushes and deletions, and close the gate
protect.py     protect the blobs that a stalled push may need
progress.py    publish the current stage
watch.py       stop the collector if the lease is lost or a client pushes
marks.py       before the sweep: compare the marked manifests with those that exist
sizes.py       the sizes of the deleted blobs
verify.py      after the sweep: check the registry's cache, and the images that were pushed meanwhile
readonly.py    gc.gate: readonly
restarting.py  gc.before and gc.after
"""

from contextlib import nullcontext

from service.collect import marks, readonly, rehearse, verify
from service.collect.job import Job, tell
from service.collect.progress import Progress
from service.collect.protect import Quiet
from service.collect.quiesce import drained
from service.collect.rehearse import Early
from service.collect.sizes import freed, sizes_of, unknown
from service.collect.status import why_not_yet
from service.collect.watch import BUSY_S, PutOff, Watch, succeeded
from service.domain.collection import run as collection_run
from service.domain.collection.run import Rehearsal, Run, Sweep, is_manual, total
from service.domain.errors import (
    CollectionFailed,
    LeaseLost,
    PushpruneError,
    StaleCache,
    StaysReadOnly,
    StoreUnavailable,
)
from service.registry import Registry
from service.registry.collector import Report
from service.settings import Settings
from service.store import Store
from service.store.collections import now_ms
from service.store.lease import COLLECT, COLLECT_MS
from service.wiring import Wiring

_FAILED_S = 300.0
_ALARM_S = 30.0
_EARLY_S = 60.0
_SELDOM_S = 600.0

_UNPROTECTED = "pushes were not blocked (gc.gate: none): an image pushed during the collection may be broken"
_CANCELLED = "it was cancelled before anything was deleted"
_NO_PROBE = "no deleted blob could be used to test the registry for a stale cache"


def collect(wiring: Wiring) -> None:
    """Run the requested dry run or collection, and record its result."""
    garbage = wiring.store.collections
    dry, reason = garbage.rehearsal_requested(), garbage.requested()
    if dry is None and reason is None and not garbage.may_be_read_only():
        return
    if wiring.registry.collector is None:
        wiring.store.outbox.note_trouble(
            "garbage", "a collection is due, but gc.command is not set: set it, or run garbage-collect manually"
        )
        garbage.postpone(_FAILED_S)
        return
    if dry is None and reason and _is_too_early(wiring.store, wiring.settings, reason):
        return
    with wiring.store.leases.hold(COLLECT, COLLECT_MS) as lease:
        if lease is None:
            garbage.postpone(BUSY_S)
            return
        purpose = dry or reason or "cleaning up after an interrupted collection"
        with Progress(garbage, purpose) as progress:
            run = Run(now_ms(), 0, "dry run" if dry else "done", purpose, gate=wiring.settings.gc.gate)
            job = Job(wiring, wiring.registry.collector, lease, progress, run)
            _end_leftovers(job, reason)
            if dry is not None:
                _rehearse(job)
            elif reason is not None:
                _attempt(job)


def _is_too_early(store: Store, settings: Settings, reason: str) -> bool:
    """True if a collection must wait for gc.window or gc.min_interval. The wait is recorded once."""
    early = why_not_yet(store, settings, reason)
    # An interrupted collection left the registry read-only, or its sweep unchecked: that cannot wait.
    if early is None or store.collections.may_be_read_only() or store.collections.open_check():
        return False
    at_ms = now_ms()
    run = Run(at_ms, at_ms, "put off", reason, message=early, gate=settings.gc.gate)
    if store.collections.record(run, once=True, wait_s=_EARLY_S):
        tell(run)
    return True


def _end_leftovers(job: Job, reason: str | None) -> None:
    """Make a registry writable again that an interrupted run left read-only, unless this run does so at its end."""
    wiring = job.wiring
    if wiring.store.collections.may_be_read_only() and (reason is None or wiring.settings.gc.gate != "readonly"):
        try:
            readonly.open_again(wiring.store, wiring.registry, wiring.settings, job.progress)
        except StaysReadOnly:
            wiring.store.collections.postpone(_ALARM_S)
            raise


def _rehearse(job: Job) -> None:
    """Do only a dry run: record what would be deleted, and the reason why the sweep would be refused, if any."""
    wiring = job.wiring
    try:
        job.progress.at(collection_run.REHEARSING)
        report = succeeded(job.collector.run(lambda: job.lease.valid)).report
        sizes = sizes_of(wiring.store, wiring.registry, report.eligible)
        wiring.store.collections.note_rehearsal(Rehearsal(now_ms(), tuple(sizes.items())))
        job.learn(exit_code=0, marked=report.marked, blobs=len(sizes), manifests=report.manifests)
        job.learn(bytes_freed=total(sizes.values()), unsized=unknown(sizes))
        job.progress.at(collection_run.COMPARING)
        marks.refuse_unmarked(wiring.store, wiring.registry, report.marks)
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        wiring.store.collections.forget_rehearsal()
        job.learn(result="failed", message=str(error))
    job.record()


def _attempt(job: Job) -> None:
    """Make a collection, or record the reason why it was postponed or failed.

    A postponement, and a failure that only an operator can fix, are recorded once and then counted.
    """
    wiring, once, wait_s = job.wiring, False, 0.0
    if job.run.gate == "none":
        job.note(_UNPROTECTED)
    if is_manual(job.run.reason) and why_not_yet(wiring.store, wiring.settings, "by itself"):
        job.note("requested manually: gc.window and gc.min_interval did not apply")
    try:
        _in_quiet(job)
    except PutOff as postponement:
        once, wait_s = True, max(postponement.wait_s, _patience_s(job))
        job.learn(result="put off", message=str(postponement))
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        once = isinstance(error, StaleCache | StaysReadOnly)
        # After an unchecked sweep the gate may still be closed, so that clients wait for the next attempt.
        is_urgent = once or wiring.store.collections.open_check() is not None
        wait_s = BUSY_S if isinstance(error, LeaseLost) else _ALARM_S if is_urgent else _FAILED_S
        job.learn(result="failed", message=str(error))
    if job.run.result == "failed":
        wiring.store.outbox.note_trouble("garbage", job.run.message)
    elif job.run.result == "done":
        wiring.store.outbox.end_trouble("garbage")
    job.record(once=once, wait_s=wait_s)


def _patience_s(job: Job) -> float:
    """Seconds until the next attempt of a postponed collection.

    The wait grows with the time for which the collection has been postponed, because each attempt makes clients wait.
    """
    waits = job.wiring.store.collections.wait()
    if waits is None or is_manual(job.run.reason):
        return 0.0
    return min(_SELDOM_S, (now_ms() - waits.since_ms) / 4000)


def _in_quiet(job: Job) -> None:
    """Wait for the end of all writes, then collect. If there is a gate, no client pushes meanwhile."""
    wiring, progress, quiet = (
        job.wiring,
        job.progress,
        Quiet(job.wiring.store, job.wiring.registry, job.wiring.settings, job.collector, job.lease),
    )
    progress.at(collection_run.WAITING)
    rehearse.let_settle(wiring.store, wiring.settings, job.lease)
    progress.at(collection_run.REHEARSING)
    early = rehearse.early(wiring.store, wiring.settings, job.collector, job.lease)
    progress.at(collection_run.WAITING)
    try:
        with drained(wiring.store, wiring.registry, wiring.settings, job.collector, job.lease, job.run.reason, quiet):
            with (
                readonly.closed(wiring.store, wiring.registry, wiring.settings, progress)
                if job.run.gate == "readonly"
                else nullcontext()
            ):
                _finish(job)
                # Waiting for pushes to end may have taken longer than gc.window lasts.
                if too_early := why_not_yet(wiring.store, wiring.settings, job.run.reason):
                    raise PutOff(too_early, _EARLY_S)
                _sweep(job, quiet, early)
            _check_pushed(job)
    finally:
        job.learn(closed_ms=quiet.closed_ms)
    if quiet.closed_ms > wiring.settings.gc.gate_wait * 1000:
        job.note(
            f"the gate was closed for {quiet.closed_ms / 1000:.0f} s, longer than gc.gate_wait: pushes may have failed"
        )


def _finish(job: Job) -> None:
    """Complete the checks of an earlier sweep that were interrupted, or that waited for an operator."""
    sweep = job.wiring.store.collections.open_check()
    if sweep is not None:
        verify.refuse_stale(job.wiring.store, job.wiring.registry, job.progress, sweep.probes, *job.heals)
        verify.look_at_pushed(job.wiring.store, job.wiring.registry, job.progress, sweep.since_ms)
        job.wiring.store.collections.end_check()


def _sweep(job: Job, quiet: Quiet, early: Early | None) -> None:
    """Do a dry run, and the sweep only if the dry run marked every manifest that exists.

    Args:
        job: the attempt.
        quiet: the protection of unfinished pushes.
        early: the dry run before the gate closed, if there was one.
    """
    wiring, progress = job.wiring, job.progress
    job.covered, since_ms = wiring.store.collections.deletions_so_far(), wiring.store.connection.now_ms()
    quiet.release()
    with Watch(wiring.store, job.lease) as watch:
        rehearsed = (
            early.report
            if early and rehearse.still_holds(wiring.store, wiring.registry, wiring.settings, early)
            else _rehearsed(job, watch)
        )
        with quiet.holding(rehearsed) as is_held:
            if is_held:
                rehearsed = _rehearsed(job, watch)
            quiet.refuse_loose(rehearsed)
            sizes = sizes_of(wiring.store, wiring.registry, rehearsed.eligible)
            probes = verify.choose_probes(wiring.store, wiring.registry, rehearsed.eligible)
            job.lease.check()
            # The last moment at which a user can cancel the collection.
            if wiring.store.collections.requested() is None:
                raise PutOff(_CANCELLED)
            # Recorded before the sweep, so that another run makes the checks if this process dies.
            wiring.store.collections.begin_check(Sweep(since_ms, probes))
            # From here on, layers of deleted images may be gone: their deletions can no longer be undone.
            job.learn(final=wiring.store.trash.collected())
            progress.at(collection_run.SWEEPING)
            try:
                finished = watch.run(job.collector, rehearsed)
            except PutOff:
                # The push that stopped the collector may need a blob that was deleted by then.
                verify.look_at_pushed(wiring.store, wiring.registry, progress, since_ms)
                raise
    report = finished.report
    deleted = freed(wiring.registry, sizes, report.eligible)
    job.learn(exit_code=finished.exit_code, marked=report.marked, blobs=report.blobs, manifests=report.manifests)
    job.learn(bytes_freed=total(deleted.values()), unsized=unknown(deleted))
    if report.links:
        job.note(f"{len(report.links)} layer links of repositories were deleted as well")
    if report.eligible and not probes:
        job.note(_NO_PROBE)
    if healed := verify.refuse_stale(wiring.store, wiring.registry, progress, probes, *job.heals):
        job.note(healed)


def _rehearsed(job: Job, watch: Watch) -> Report:
    """Return the report of a dry run that marked every manifest that exists."""
    job.progress.at(collection_run.REHEARSING)
    report = watch.run(job.collector).report
    job.progress.at(collection_run.COMPARING)
    _compare(job.wiring.store, job.wiring.registry, watch, report)
    return report


def _compare(store: Store, registry: Registry, watch: Watch, report: Report) -> None:
    try:
        marks.refuse_unmarked(store, registry, report.marks)
    except CollectionFailed as error:
        # A manifest that was pushed after the dry run is not marked, and that is no failure.
        watch.excuse(error)
        raise


def _check_pushed(job: Job) -> None:
    """Check the images that were pushed during the collection. If one is broken, the run has failed and names it."""
    sweep = job.wiring.store.collections.open_check()
    if sweep is None:
        return
    pushed = verify.look_at_pushed(job.wiring.store, job.wiring.registry, job.progress, sweep.since_ms)
    job.learn(checked=pushed.checked)
    if pushed.broken:
        names = ", ".join(pushed.broken)
        job.learn(
            result="failed", message=f"these images were pushed meanwhile and are broken: {names}; push them again"
        )
    job.wiring.store.collections.end_check()
    job.wiring.store.collections.collected(job.run.reason, job.covered)
