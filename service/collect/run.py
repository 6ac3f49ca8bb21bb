"""Collect: never two at once, never beside a delete of ours, and only when the dry run marks everything that stands.

job.py         one attempt: what is known of it, and its record
schedule.py    when one is wanted, and may begin
rehearsal.py   a dry run while the gate is still open
drain.py       makes it quiet around it: pushes and deletes have ended, the gate is closed
quiet.py       sees to it that nothing is swept which a push that stands still may need
progress.py    what the one under way is at
watch.py       stops the collector when the lease is lost or somebody pushes
marks.py       compares what was marked with what stands, before anything is swept
checks.py      looks at the registry and at what was pushed, after a sweep
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
from service.domain.collection.run import Rehearsal, Run, Sweep, is_by_hand, total
from service.domain.errors import (
    CollectionFailed,
    LeaseLost,
    PushpruneError,
    StaleCache,
    StaysReadOnly,
    StoreUnavailable,
)
from service.registry.collector import Report
from service.store.collections import now_ms
from service.store.lease import COLLECT, COLLECT_MS
from service.wiring import Wiring

_FAILED_S = 300.0
_ALARM_S = 30.0
_EARLY_S = 60.0
_SELDOM_S = 600.0

_UNPROTECTED = "no gate (gc.gate: none): a push that began while it swept, or was heard of too late, may be broken"
_CANCELLED = "it was cancelled before anything was swept"
_NO_PROBE = "no collected blob could be probed for a stale cache"


def collect(wiring: Wiring) -> None:
    """Makes what is wanted, a dry run or a collection, and records how it went."""
    garbage = wiring.garbage
    dry, reason = garbage.rehearsal_wanted(), garbage.wanted()
    if dry is None and reason is None and not garbage.is_closed():
        return
    if wiring.collector is None:
        wiring.outbox.complain(
            "garbage", "a collection is wanted, but gc.command is not set: set it, or collect by hand"
        )
        garbage.put_off(_FAILED_S)
        return
    if dry is None and reason and _is_too_early(wiring, reason):
        return
    with wiring.leases.hold(COLLECT, COLLECT_MS) as lease:
        if lease is None:
            garbage.put_off(BUSY_S)
            return
        why = dry or reason or "to end what another left behind"
        with Progress(garbage, why) as progress:
            run = Run(now_ms(), 0, "dry run" if dry else "done", why, gate=wiring.settings.gc.gate)
            job = Job(wiring, wiring.collector, lease, progress, run)
            _end_leftovers(job, reason)
            if dry is not None:
                _rehearse(job)
            elif reason is not None:
                _attempt(job)


def _is_too_early(wiring: Wiring, reason: str) -> bool:
    """Whether it must wait for its hours, which is recorded once. What another left behind waits for nothing."""
    early = why_not_yet(wiring, reason)
    if early is None or wiring.garbage.is_closed() or wiring.garbage.unchecked():
        return False
    at_ms = now_ms()
    run = Run(at_ms, at_ms, "put off", reason, message=early, gate=wiring.settings.gc.gate)
    if wiring.garbage.record(run, once=True, wait_s=_EARLY_S):
        tell(run)
    return True


def _end_leftovers(job: Job, reason: str | None) -> None:
    """A registry that a run which died left read-only, and that no run will open again, is opened now."""
    wiring = job.wiring
    if wiring.garbage.is_closed() and (reason is None or wiring.settings.gc.gate != "readonly"):
        try:
            readonly.open_again(wiring, job.progress)
        except StaysReadOnly:
            wiring.garbage.put_off(_ALARM_S)
            raise


def _rehearse(job: Job) -> None:
    """A dry run and nothing more: what would be swept, and whether the sweep would be refused."""
    wiring = job.wiring
    try:
        job.progress.at(collection_run.REHEARSING)
        report = succeeded(job.collector.run(lambda: job.lease.valid)).report
        sizes = sizes_of(wiring, report.eligible)
        wiring.garbage.rehearsed(Rehearsal(now_ms(), tuple(sizes.items())))
        job.learn(exit_code=0, marked=report.marked, blobs=len(sizes), manifests=report.manifests)
        job.learn(bytes_freed=total(sizes.values()), unsized=unknown(sizes))
        job.progress.at(collection_run.COMPARING)
        marks.refuse_unmarked(wiring, report.marks)
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        wiring.garbage.forget_rehearsal()
        job.learn(result="failed", message=str(error))
    job.record()


def _attempt(job: Job) -> None:
    """Makes a collection, or records why not: what has only to wait is recorded once, as is an alarm that stands."""
    wiring, once, wait_s = job.wiring, False, 0.0
    if job.run.gate == "none":
        job.note(_UNPROTECTED)
    if is_by_hand(job.run.reason) and why_not_yet(wiring, "by itself"):
        job.note("asked for by hand: gc.window and gc.min_interval did not count")
    try:
        _in_quiet(job)
    except PutOff as why:
        once, wait_s = True, max(why.wait_s, _patience_s(job))
        job.learn(result="put off", message=str(why))
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        once = isinstance(error, StaleCache | StaysReadOnly)
        once_again = once or wiring.garbage.unchecked() is not None  # a gate may be closed until it is checked
        wait_s = BUSY_S if isinstance(error, LeaseLost) else _ALARM_S if once_again else _FAILED_S
        job.learn(result="failed", message=str(error))
    if job.run.result == "failed":
        wiring.outbox.complain("garbage", job.run.message)
    elif job.run.result == "done":
        wiring.outbox.mended("garbage")
    job.record(once=once, wait_s=wait_s)


def _patience_s(job: Job) -> float:
    """The longer one is put off, the more seldom it is tried: every try holds others back."""
    waits = job.wiring.garbage.waits()
    if waits is None or is_by_hand(job.run.reason):
        return 0.0
    return min(_SELDOM_S, (now_ms() - waits.since_ms) / 4000)


def _in_quiet(job: Job) -> None:
    """Waits for quiet, then collects; nobody pushes meanwhile where there is a gate."""
    wiring, progress, quiet = job.wiring, job.progress, Quiet(job.wiring, job.collector, job.lease)
    progress.at(collection_run.WAITING)
    rehearse.let_settle(wiring, job.lease)
    progress.at(collection_run.REHEARSING)
    early = rehearse.early(wiring, job.collector, job.lease)
    progress.at(collection_run.WAITING)
    try:
        with drained(wiring, job.collector, job.lease, job.run.reason, quiet):
            with readonly.closed(wiring, progress) if job.run.gate == "readonly" else nullcontext():
                _finish(job)
                if too_early := why_not_yet(wiring, job.run.reason):
                    raise PutOff(too_early, _EARLY_S)
                _sweep(job, quiet, early)
            _check_pushed(job)
    finally:
        job.learn(closed_ms=quiet.closed_ms)
    if quiet.closed_ms > wiring.settings.gc.gate_wait * 1000:
        job.note(
            f"the gate was closed for {quiet.closed_ms / 1000:.0f} s, and who pushes waits for gc.gate_wait at most"
        )


def _finish(job: Job) -> None:
    """Ends the checks of a sweep that were cut off, or that found what only an operator could mend."""
    sweep = job.wiring.garbage.unchecked()
    if sweep is not None:
        verify.refuse_stale(job.wiring, job.progress, sweep.probes, *job.heals)
        verify.look_at_pushed(job.wiring, job.progress, sweep.since_ms)
        job.wiring.garbage.checked()


def _sweep(job: Job, quiet: Quiet, early: Early | None) -> None:
    """A dry run first: the sweep comes only after all that stands was seen marked. early: one before the gate closed.

    What is deleted can no longer be undone from the moment the sweep may begin.
    """
    wiring, progress = job.wiring, job.progress
    job.covered, since_ms = wiring.garbage.began(), wiring.connection.now_ms()
    quiet.release()
    with Watch(wiring, job.lease) as watch:
        rehearsed = early.report if early and rehearse.still_holds(wiring, early) else _rehearsed(job, watch)
        with quiet.holding(rehearsed) as is_held:
            if is_held:
                rehearsed = _rehearsed(job, watch)
            quiet.refuse_loose(rehearsed)
            sizes = sizes_of(wiring, rehearsed.eligible)
            probes = verify.choose_probes(wiring, rehearsed.eligible)
            job.lease.check()
            if wiring.garbage.wanted() is None:
                raise PutOff(_CANCELLED)
            wiring.garbage.sweeps(Sweep(since_ms, probes))
            job.learn(final=wiring.trash.collected())
            progress.at(collection_run.SWEEPING)
            try:
                finished = watch.run(job.collector, rehearsed)
            except PutOff:  # what it had swept by then may be missed already
                verify.look_at_pushed(wiring, progress, since_ms)
                raise
    report = finished.report
    gone = freed(wiring, sizes, report.eligible)
    job.learn(exit_code=finished.exit_code, marked=report.marked, blobs=report.blobs, manifests=report.manifests)
    job.learn(bytes_freed=total(gone.values()), unsized=unknown(gone))
    if report.links:
        job.note(f"{len(report.links)} layer links of repositories were deleted as well")
    if report.eligible and not probes:
        job.note(_NO_PROBE)
    if healed := verify.refuse_stale(wiring, progress, probes, *job.heals):
        job.note(healed)


def _rehearsed(job: Job, watch: Watch) -> Report:
    """What a dry run says, once all that stands is seen to be marked."""
    job.progress.at(collection_run.REHEARSING)
    report = watch.run(job.collector).report
    job.progress.at(collection_run.COMPARING)
    _compare(job.wiring, watch, report)
    return report


def _compare(wiring: Wiring, watch: Watch, report: Report) -> None:
    try:
        marks.refuse_unmarked(wiring, report.marks)
    except CollectionFailed as error:
        watch.excuse(error)
        raise


def _check_pushed(job: Job) -> None:
    """The end: what was pushed meanwhile is looked at. The run has failed, with their names, where any is broken."""
    sweep = job.wiring.garbage.unchecked()
    if sweep is None:
        return
    pushed = verify.look_at_pushed(job.wiring, job.progress, sweep.since_ms)
    job.learn(checked=pushed.checked)
    if pushed.broken:
        names = ", ".join(pushed.broken)
        job.learn(result="failed", message=f"pushed meanwhile, and broken: {names}; push them again")
    job.wiring.garbage.checked()
    job.wiring.garbage.collected(job.run.reason, job.covered)
