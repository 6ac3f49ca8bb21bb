"""Run a garbage collection.

Two collections never run at once, none runs beside a deletion of pushprune, and a sweep follows only a dry run that
marked every manifest that exists.

attempt.py     one attempt: its state and its record
status.py      requests, schedule and overview
registry_collection.py  a collection by gc.command, which needs most of the files below
times.py       gc.schedule, gc.window and gc.min_interval
rehearse.py    the dry run while the gate is still open
quiesce.py     wait for the end of pushes and deletions, and close the gate
reopening.py   open a gate that a collection left behind
gate_processes.py  gate processes that ended without signing off
protect.py     protect the blobs that a stalled push may need
progress.py    publish the current stage
watch.py       stop the collector if the lease is lost or a client pushes
marks.py       before the sweep: compare the marked manifests with those that exist
sizes.py       the sizes of the deleted blobs
verify.py      after the sweep: check the registry's cache, and the images that were pushed meanwhile
readonly.py    gc.gate: readonly
restarting.py  gc.before and gc.after
"""

from importlib import import_module
from types import ModuleType

from service import tracing
from service.clock import now_ms
from service.collect import readonly, registry_collection
from service.collect.attempt import Attempt, log_run
from service.collect.gate_processes import refuse_silent
from service.collect.progress import Progress
from service.collect.status import why_not_yet
from service.collect.watch import BUSY_S, EARLY_S, Postponed
from service.domain.collection import run as collection_run
from service.domain.collection.run import Run, Undeletion, is_manual
from service.domain.errors import (
    CollectionFailed,
    LeaseLost,
    PushpruneError,
    StaleCache,
    StaysReadOnly,
    StoreUnavailable,
)
from service.domain.policy.units import spell_duration
from service.settings import Settings
from service.store import Store
from service.store.lease import COLLECT, COLLECT_MS
from service.wiring import Wiring

_FAILED_S = 300.0
_ALARM_S = 30.0
_SELDOM_S = 600.0


def collect(wiring: Wiring) -> None:
    """Run the requested dry run or collection, and record its result."""
    garbage = wiring.store.collections
    dry, undeletion, reason = garbage.rehearsal_requested(), garbage.undeletion_requested(), garbage.requested()
    is_wanted = dry or undeletion or reason
    if not is_wanted and not garbage.may_be_read_only() and not garbage.must_look_again():
        return
    if wiring.registry.collector is None:
        lack = (
            "the folder of storage.path did not exist when this worker started: mount it, and restart the worker"
            if wiring.settings.gc.collector == "online"
            else "gc.command is not set: set it, or run garbage-collect manually"
        )
        wiring.store.outbox.note_trouble("garbage", f"a collection is due, but {lack}")
        garbage.postpone(_FAILED_S)
        return
    if dry is None and undeletion is None and reason and _is_too_early(wiring.store, wiring.settings, reason):
        return
    with wiring.store.leases.hold(COLLECT, COLLECT_MS) as lease:
        if lease is None:
            garbage.postpone(BUSY_S)
            return
        purpose = dry or (undeletion and undeletion.reason) or reason or "cleaning up after an interrupted collection"
        # In parentheses there may be the user who asked for it, and traces contain no users.
        traced = tracing.span("collect", links=garbage.deletions_traced(), reason=purpose.partition(" (")[0])
        with traced, Progress(garbage, purpose) as progress:
            result = collection_run.DRY_RUN if dry else collection_run.UNDELETION if undeletion else "done"
            run = Run(now_ms(), 0, result, purpose, gate=wiring.settings.gc.gate)
            store, registry, gc = wiring.store, wiring.registry, wiring.settings.gc
            attempt = Attempt(store, registry, gc, wiring.registry.collector, lease, progress, run)
            _end_leftovers(attempt, reason)
            if dry is not None:
                _rehearse(attempt)
            elif undeletion is not None:
                _undelete(attempt, undeletion)
            elif reason is not None:
                _shorten_grace(attempt)
                _attempt(attempt)
            elif garbage.must_look_again():
                _online().look_again_later(attempt)
            done = attempt.run
            tracing.note(result=done.result, blobs=done.blobs, bytes=done.bytes_freed, deletions_final=done.final)


def _online() -> ModuleType:
    """The online collection. Raises CollectionFailed without the extra `storage`."""
    try:
        return import_module("service.collect.online.run")
    except ImportError as error:
        raise CollectionFailed(
            "gc.collector: online needs obstore, which is not installed: pip install 'pushprune[storage]', and restart "
            "the worker"
        ) from error


def _is_too_early(store: Store, settings: Settings, reason: str) -> bool:
    """True if a collection must wait for gc.window or gc.min_interval. The wait is recorded once."""
    early = why_not_yet(store, settings.gc, reason)
    # An interrupted collection left the registry read-only, or its sweep unchecked: that cannot wait.
    if early is None or store.collections.may_be_read_only() or store.collections.open_check():
        return False
    at_ms = now_ms()
    run = Run(at_ms, at_ms, "postponed", reason, message=early, gate=settings.gc.gate)
    if store.collection_runs.record(run, once=True, wait_s=EARLY_S):
        log_run(run)
    return True


def _end_leftovers(attempt: Attempt, reason: str | None) -> None:
    """Make a registry writable again that an interrupted run left read-only, unless this run does so at its end."""
    if attempt.store.collections.may_be_read_only() and (reason is None or attempt.gc.gate != "readonly"):
        try:
            readonly.open_again(attempt)
        except StaysReadOnly:
            attempt.store.collections.postpone(_ALARM_S)
            raise


def _rehearse(attempt: Attempt) -> None:
    """Do only a dry run: record what would be deleted, and the reason why the sweep would be refused, if any."""
    try:
        if attempt.gc.collector == "online":
            _online().rehearse(attempt)
        else:
            registry_collection.rehearse(attempt)
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        attempt.store.collections.forget_rehearsal()
        attempt.learn(result="failed", message=str(error))
    attempt.record()


def _undelete(attempt: Attempt, undeletion: Undeletion) -> None:
    """Bring data back from quarantine, and record what came back."""
    from service.collect.online.undelete import undelete

    # Before it is done, so that a fault is not repeated for ever.
    attempt.store.collections.forget_undeletion()
    try:
        undelete(attempt, undeletion.digests)
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        attempt.learn(result="failed", message=str(error))
    attempt.record()


def _shorten_grace(attempt: Attempt) -> None:
    """Let the requested grace replace gc.grace and gc.quarantine for this run."""
    grace_s = attempt.store.collections.requested_grace_s()
    if grace_s is not None and attempt.gc.collector == "online":
        attempt.gc = attempt.gc.model_copy(update={"grace": min(grace_s, attempt.gc.grace), "quarantine": 0})
        attempt.note(f"requested with a grace of {spell_duration(grace_s)}: gc.grace and gc.quarantine did not apply")


def _attempt(attempt: Attempt) -> None:
    """Make a collection, or record the reason why it was postponed or failed.

    A postponement, and a failure that only an operator can fix, are recorded once and then counted.
    """
    once, wait_s = False, 0.0
    if attempt.run.gate == "none":
        attempt.note(collection_run.UNPROTECTED)
    if is_manual(attempt.run.reason) and why_not_yet(attempt.store, attempt.gc, "by itself"):
        attempt.note("requested manually: gc.window and gc.min_interval did not apply")
    try:
        # Clients already wait at a gate that stayed closed: the collection that opens it checks this later.
        if attempt.gc.gate == "proxy" and attempt.store.gate.state() is None:
            refuse_silent(attempt.store)
        if attempt.gc.collector == "online":
            _online().collect(attempt)
        else:
            registry_collection.collect(attempt)
    except Postponed as postponement:
        once, wait_s = True, max(postponement.wait_s, _patience_s(attempt))
        attempt.learn(result="postponed", message=str(postponement))
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        once = isinstance(error, StaleCache | StaysReadOnly)
        # After an unchecked sweep the gate may still be closed, so that clients wait for the next attempt.
        is_urgent = once or attempt.store.collections.open_check() is not None
        wait_s = BUSY_S if isinstance(error, LeaseLost) else _ALARM_S if is_urgent else _FAILED_S
        attempt.learn(result="failed", message=str(error))
    if attempt.run.result == "failed":
        attempt.store.outbox.note_trouble("garbage", attempt.run.message)
    elif attempt.run.result == "done":
        attempt.store.outbox.end_trouble("garbage")
    attempt.record(once=once, wait_s=wait_s)


def _patience_s(attempt: Attempt) -> float:
    """Seconds until the next attempt of a postponed collection.

    The wait grows with the time for which the collection has been postponed, because each attempt makes clients wait.
    """
    waits = attempt.store.collections.wait()
    if waits is None or is_manual(attempt.run.reason):
        return 0.0
    return min(_SELDOM_S, (now_ms() - waits.since_ms) / 4000)
