"""Open a gate that a collection left behind, once nothing of that collection can delete any more."""

from service.collect import verify
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.log import log
from service.registry import Registry
from service.settings.gc import GcSettings
from service.store import Store
from service.store.gate import GateState
from service.store.lease import COLLECT, COLLECT_MS

# In a bucket a request to delete may arrive as long as its signature is valid: 15 minutes (S3, Azure). The worker that
# sent it may be on another machine, where no lock proves its death.
LATEST_MS = 16 * 60_000
# The same of a collector that the registry brings along, from the proof of its death on: it sends no request again.
_UNANSWERED_S = 120.0
_TELL_MS = 60_000
_UNPROVED = (
    "a collection closed the gate and did not open it, and this worker cannot prove that it has ended: on its machine, "
    "end a worker that hangs and start one with the same settings; if that machine no longer exists, run "
    "`pushprune gc --open`"
)
_STAYS = "the gate is still closed after a collection: "
_TRIED_AGAIN = "; this is checked every half minute, and `pushprune gc --open` opens the gate now"
_FORGOTTEN = (
    "Redis lost the claims of a collection whose worker died, and the storage may still delete these blobs: all writes "
    "wait for {minutes} more minutes; `pushprune gc --open` opens the gate now, at your risk"
)
_CLAIMED = (
    "a collection ended without an answer of the storage, which may still delete the blobs that were claimed: "
    "{waiting} wait for {minutes} more minutes; look at the storage and at the log of the worker"
)
_NAMING = "requests that name one of them"
_PUTTING = "PUTs of manifests, so all pushes,"


def reopen(store: Store, registry: Registry, gc: GcSettings) -> None:
    """Open a gate whose holder is proved dead, or report the reason why the gate stays closed."""
    held = store.gate.state()
    if held is None:
        return
    is_remote = registry.objects is not None and not registry.objects.is_local
    if held.is_kept:
        _complain(store, f"{_STAYS}{held.reason}{_TRIED_AGAIN}")
    elif is_remote and held.state in ("claiming", "manifests"):
        _end_claims(store, held)
    elif not (registry.collector and registry.collector.is_dead(held.token)):
        _complain(store, _UNPROVED)
    elif is_remote and (rest_s := _unanswered_s(gc) - registry.collector.dead_for_s(held.token)) > 0:
        if gc.collector == "online":
            _complain(store, _FORGOTTEN.format(minutes=int(rest_s) // 60 + 1))
    elif reason := why_closed(store, registry, gc, held.token):
        _complain(store, f"{_STAYS}{reason}{_TRIED_AGAIN}")
    else:
        _open_again(store, held)


def _unanswered_s(gc: GcSettings) -> float:
    """The time (s) for which a request of a dead collector may be on its way to the bucket."""
    # If Redis lost the claims of an online collection, its gate is closed instead, and their time is not known.
    return LATEST_MS / 1000 if gc.collector == "online" else _UNANSWERED_S


def _end_claims(store: Store, held: GateState) -> None:
    """End the claims of a worker that lost its lease, once no request of that worker can arrive at the bucket any more.

    No lock proves the death of a worker on another machine. A worker that is only stopped checks its lease right before
    each request to delete, and signs the request then.
    """
    rest_ms = LATEST_MS - (store.connection.now_ms() - max(held.claimed_ms, held.since_ms))
    if rest_ms > 0:
        if rest_ms < LATEST_MS - _TELL_MS:
            waiting = _PUTTING if held.state == "manifests" else _NAMING
            _complain(store, _CLAIMED.format(waiting=waiting, minutes=rest_ms // 60_000 + 1))
        return
    with store.leases.hold(COLLECT, COLLECT_MS) as lease:
        # The holder of the claims cannot have the lease, nor get it again.
        if lease is not None:
            _open_again(store, held)


def _open_again(store: Store, held: GateState) -> None:
    if store.gate.open(held.token):
        store.outbox.end_trouble("gate")
        log.warning("the gate is open again: the collection that held it has ended", because=held.reason)


def _complain(store: Store, message: str) -> None:
    """Report a trouble at most once a minute, unless a running collection already reports it."""
    if not store.leases.collecting() and store.leases.elected("gate", _TELL_MS):
        store.outbox.note_trouble("gate", message)


def why_closed(store: Store, registry: Registry, gc: GcSettings, token: str) -> str:
    """Return the reason why the gate must stay closed, because a client might believe a stale cache; "" if none.

    If the registry claims a deleted blob, the gate is marked as kept, so that no process opens it.
    """
    sweep = store.collections.open_check() if gc.gate == "proxy" else None
    if sweep is None:
        return ""
    try:
        blob = verify.false_claim(registry, sweep.probes)
    except (RegistryUnavailable, RegistryRefused) as error:
        # Without an answer the cache may be stale; the registry is asked again later.
        return str(error)
    if blob is None:
        return ""
    reason = f"the registry still claims to have {blob}, which was garbage-collected"
    store.gate.keep(token, reason)
    return reason
