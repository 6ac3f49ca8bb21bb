"""Collect with the registry's own garbage-collect (gc.command), while all writes wait."""

from contextlib import nullcontext

from service.clock import now_ms
from service.collect import marks, readonly, verify
from service.collect.attempt import Attempt
from service.collect.protect import BlobProtection
from service.collect.quiesce import drained
from service.collect.rehearse import Early, let_settle, rehearse_early, still_holds
from service.collect.sizes import freed, sizes_of, unknown
from service.collect.status import why_not_yet
from service.collect.watch import EARLY_S, Postponed, Watch, succeeded
from service.domain.collection import run as collection_run
from service.domain.collection.run import Rehearsal, total
from service.domain.errors import CollectionFailed
from service.registry import Registry
from service.registry.collector_report import Report
from service.store import Store

_NO_PROBE = "no deleted blob could be used to test the registry for a stale cache"


def collect(attempt: Attempt) -> None:
    """Wait for the end of all writes, then collect. If there is a gate, no client pushes meanwhile."""
    progress, quiet = attempt.progress, BlobProtection(attempt)
    progress.at(collection_run.WAITING)
    let_settle(attempt)
    progress.at(collection_run.REHEARSING)
    early = rehearse_early(attempt)
    progress.at(collection_run.WAITING)
    try:
        with drained(attempt, quiet):
            with readonly.closed(attempt) if attempt.run.gate == "readonly" else nullcontext():
                _finish(attempt)
                # Waiting for pushes to end may have taken longer than gc.window lasts.
                if too_early := why_not_yet(attempt.store, attempt.gc, attempt.run.reason):
                    raise Postponed(too_early, EARLY_S)
                _sweep(attempt, quiet, early)
            _check_pushed(attempt)
    finally:
        attempt.learn(closed_ms=quiet.closed_ms)
    if quiet.closed_ms > attempt.gc.gate_wait * 1000:
        attempt.note(
            f"the gate was closed for {quiet.closed_ms / 1000:.0f} s, longer than gc.gate_wait: pushes may have failed"
        )


def rehearse(attempt: Attempt) -> None:
    """Make a dry run while clients push, and record what a collection would delete."""
    attempt.progress.at(collection_run.REHEARSING)
    report = succeeded(attempt.collector.run(lambda: attempt.lease.valid)).report
    sizes = sizes_of(attempt.store, attempt.registry, report.eligible)
    attempt.store.collections.note_rehearsal(Rehearsal(now_ms(), tuple(sizes.items())))
    attempt.learn(exit_code=0, marked=report.marked, blobs=len(sizes), manifests=report.manifests)
    attempt.learn(bytes_freed=total(sizes.values()), unsized=unknown(sizes))
    if attempt.registry.objects is not None:
        from service.collect.online.record import record_repositories

        record_repositories(attempt, attempt.registry.objects, sizes)
    attempt.progress.at(collection_run.COMPARING)
    marks.refuse_unmarked(attempt.store, attempt.registry, report.marks)


def _finish(attempt: Attempt) -> None:
    """Complete the checks of an earlier sweep that were interrupted, or that waited for an operator."""
    sweep = attempt.store.collections.open_check()
    if sweep is not None:
        verify.refuse_stale(attempt.store, attempt.registry, attempt.progress, sweep.probes, *attempt.heals)
        verify.look_at_pushed(attempt.store, attempt.registry, attempt.progress, sweep.since_ms)
        attempt.store.collections.end_check()


def _sweep(attempt: Attempt, quiet: BlobProtection, early: Early | None) -> None:
    """Do a dry run, and the sweep only if the dry run marked every manifest that exists.

    Args:
        quiet: the protection of unfinished pushes.
        early: the dry run before the gate closed, if there was one.
    """
    progress = attempt.progress
    attempt.covered, since_ms = attempt.store.collections.deletions_so_far(), attempt.store.connection.now_ms()
    quiet.release()
    with Watch(attempt.store, attempt.lease) as watch:
        rehearsed = early.report if early and still_holds(attempt, early) else _rehearsed(attempt, watch)
        with quiet.holding(rehearsed) as is_held:
            if is_held:
                rehearsed = _rehearsed(attempt, watch)
            quiet.refuse_needed(rehearsed)
            sizes = sizes_of(attempt.store, attempt.registry, rehearsed.eligible)
            probes = verify.choose_probes(attempt.store, attempt.registry, rehearsed.eligible)
            attempt.begin_sweep(since_ms, probes)
            # From here on, layers of deleted images may be deleted: their deletions can no longer be undone.
            attempt.learn(final=attempt.store.trash.collected())
            progress.at(collection_run.SWEEPING, len(rehearsed.eligible))
            try:
                finished = watch.run(attempt.collector, rehearsed)
            except Postponed:
                # The push that stopped the collector may need a blob that was deleted by then.
                verify.look_at_pushed(attempt.store, attempt.registry, progress, since_ms)
                raise
    report = finished.report
    deleted = freed(attempt.registry, sizes, report.eligible)
    attempt.learn(exit_code=finished.exit_code, marked=report.marked, blobs=report.blobs, manifests=report.manifests)
    attempt.learn(bytes_freed=total(deleted.values()), unsized=unknown(deleted))
    if report.links:
        attempt.note(f"{len(report.links)} layer links of repositories were deleted as well")
    if report.eligible and not probes:
        attempt.note(_NO_PROBE)
    if healed := verify.refuse_stale(attempt.store, attempt.registry, progress, probes, *attempt.heals):
        attempt.note(healed)


def _rehearsed(attempt: Attempt, watch: Watch) -> Report:
    """Return the report of a dry run that marked every manifest that exists."""
    attempt.progress.at(collection_run.REHEARSING)
    report = watch.run(attempt.collector).report
    attempt.progress.at(collection_run.COMPARING)
    _compare(attempt.store, attempt.registry, watch, report)
    return report


def _compare(store: Store, registry: Registry, watch: Watch, report: Report) -> None:
    try:
        marks.refuse_unmarked(store, registry, report.marks)
    except CollectionFailed as error:
        # A manifest that was pushed after the dry run is not marked, and that is no failure.
        watch.excuse(error)
        raise


def _check_pushed(attempt: Attempt) -> None:
    """Check the images that were pushed during the collection."""
    sweep = attempt.store.collections.open_check()
    if sweep is None:
        return
    pushed = verify.look_at_pushed(attempt.store, attempt.registry, attempt.progress, sweep.since_ms)
    attempt.end_sweep(pushed.checked, pushed.broken)
