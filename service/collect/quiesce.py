"""Wait until no push and no deletion is in progress, close the gate for a collection, and open the gate afterwards.

All the while the worker holds the kernel lock beside the storage, with its token in the lock file, and the collector
inherits the lock. A process that can take the lock and reads that token has proved that the worker and its collectors
are dead: only then does the gate open again (safety rule 7). A lease that expired proves nothing: its holder may only
be paused.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from service.collect import gate_processes
from service.collect.attempt import Attempt
from service.collect.protect import TOO_MANY, BlobProtection, refuse_unknown
from service.collect.reopening import why_closed
from service.collect.watch import Postponed
from service.domain.errors import StoreUnavailable
from service.log import log
from service.registry import Registry
from service.registry.debug import DebugServer
from service.settings.gc import GcSettings
from service.store import Store
from service.store.connection import new_token
from service.store.gate import CLAIMS_MS
from service.store.unfinished_pushes import MORE

POLL_S = 0.1
# The time in which nginx passes an admitted request on to the registry, which then counts it.
_PASSING_S = 0.5
_CLOSED_S = 15.0
_PROOF_S = 5.0
_HEAL_S = 3.0
_NOT_DEAD = "the gate is held by another collection, whose collector may still run"
_DELETES = "deletions by pushprune did not end in time"
_SETTLES = "the last deletion by pushprune was less than gc.settle ago"
_MOST_NAMES = 3


@contextmanager
def drained(attempt: Attempt, quiet: BlobProtection) -> Iterator[None]:
    """Wait until no client writes, keep the gate closed while the block runs, and open the gate again.

    After a sweep that was not checked the gate stays closed, because a client that pushes might believe a stale cache.
    The next run takes that gate over.

    Args:
        attempt: holds the kernel lock of its collector meanwhile.
        quiet: learns when the writes have ended, and when they may begin again.

    Raises:
        Postponed: pushes or deletions did not end in time.
        CollectionFailed: a collector still runs on this host.
        LeaseLost: the lease was lost meanwhile.
    """
    kept = _kept(attempt)
    token, is_claimed = kept or new_token(), False
    try:
        with attempt.collector.claimed(token, partial(_succeed, attempt.store, attempt.gc)):
            is_claimed = True
            if not kept:
                _close(attempt, token)
            quiet.begins()
            _wait_for_the_gate(attempt, token)
            with _guarded(attempt, token):
                yield
    finally:
        if is_claimed:
            _open(attempt, token)
            quiet.ends()


def _is_unchecked(store: Store, gc: GcSettings) -> bool:
    """True if no run has verified yet that the registry does not claim the blobs of the last sweep any more."""
    return gc.gate == "proxy" and store.collections.open_check() is not None


def _succeed(store: Store, gc: GcSettings, before: str, is_dead: bool) -> None:
    """Open the gate of the previous holder, if that holder is proved dead.

    Args:
        before: the token of the previous holder.
        is_dead: the death of that holder is proved.

    Raises:
        Postponed: the gate must stay closed. The next attempt takes it over, if the holder is dead.
    """
    held = store.gate.state()
    if held is None or held.token != before:
        return
    if not is_dead:
        raise Postponed(_NOT_DEAD)
    if held.is_kept or _is_unchecked(store, gc):
        raise Postponed("the gate stays closed until the last collection is verified")
    store.gate.open(before)


def _kept(attempt: Attempt) -> str | None:
    """The token of a gate that was left closed after a sweep, if its holder is dead: that gate is taken over closed."""
    held = attempt.store.gate.state()
    if held is None or held.state != "closed" or not (held.is_kept or _is_unchecked(attempt.store, attempt.gc)):
        return None
    return held.token if attempt.collector.is_dead(held.token) else None


def _close(attempt: Attempt, token: str) -> None:
    refuse_unknown(attempt.store)
    if not attempt.store.gate.drain(token, attempt.lease.fence, attempt.run.reason):
        raise Postponed(_NOT_DEAD)
    _wait_for_writers(attempt)
    if not attempt.store.gate.close(token):
        raise Postponed("the gate was opened by another process")


def _open(attempt: Attempt, token: str) -> None:
    """Open the gate once every process that the collector started is dead.

    If that takes too long, the sweep of the outbox opens the gate later.
    """
    end = time.monotonic() + _PROOF_S
    while not attempt.collector.is_dead(token):
        if time.monotonic() > end:
            log.error("the gate stays closed: a process that the collector started still runs")
            return
        time.sleep(POLL_S)
    try:
        if why_closed(attempt.store, attempt.registry, attempt.gc, token):
            return
        attempt.store.gate.open(token)
        attempt.store.outbox.end_trouble("gate")
    except StoreUnavailable as error:
        log.warning("the gate will be opened when Redis is available again", error=str(error))


def _wait_for_writers(attempt: Attempt) -> None:
    """Wait for the end of pushes, of writes at the registry, and of pushprune's own deletions.

    No new deletion can begin meanwhile, because the caller holds the lease.
    """
    in_flight, last_push = _in_flight(attempt.registry, attempt.gc), _LastPush(attempt.store)
    claims_ms = min(CLAIMS_MS, round(_patience_s(attempt.gc) * 500))

    def busy() -> str:
        if attempt.store.leases.writers():
            return _DELETES
        # A push that met a recent deletion may not have been reported yet. Tags are healed meanwhile.
        if attempt.store.trash.age_s() < attempt.gc.settle:
            return _SETTLES
        pushing = attempt.store.pushes.repositories(claims_ms)
        if MORE in pushing:
            return TOO_MANY
        if pushing:
            more = f" and {len(pushing) - _MOST_NAMES} more" if len(pushing) > _MOST_NAMES else ""
            return f"pushes to {', '.join(pushing[:_MOST_NAMES])}{more} did not end in time"
        if attempt.gc.gate == "none" and last_push.age_s() < attempt.gc.settle:
            return "pushes did not end in time"
        return _at_work(in_flight, "in time") if in_flight else ""

    _wait(attempt, busy, _patience_s(attempt.gc))


def _patience_s(gc: GcSettings) -> float:
    """Seconds for which the gate drains at most."""
    # Less than a write waits at the gate, so that one slow push does not make the pushes of other clients fail.
    return min(gc.max_wait, gc.gate_wait / 2) if gc.gate == "proxy" else gc.max_wait


class _LastPush:
    """The time of the last reported push, for a caller that asks repeatedly."""

    def __init__(self, store: Store) -> None:
        self._outbox = store.outbox
        self._pushes, self._at = store.outbox.pushes(), time.monotonic()

    def age_s(self) -> float:
        """Seconds since the last push, or since this object was created."""
        if (pushes := self._outbox.pushes()) != self._pushes:
            self._pushes, self._at = pushes, time.monotonic()
        return time.monotonic() - self._at


def _wait_for_the_gate(attempt: Attempt, token: str) -> None:
    """Wait until every gate process knows that the gate is closed, and every write that passed before has ended."""
    # A healing may have begun to write while the gate was draining.
    _wait(attempt, lambda: _DELETES if attempt.store.leases.writers() else "", _CLOSED_S)
    in_flight = _in_flight(attempt.registry, attempt.gc)
    if in_flight is None:
        return
    if not attempt.store.gate.processes():
        raise Postponed("no gate process is running to answer the proxy: start one (pushprune gate)")

    def unaware() -> str:
        names = gate_processes.unaware(attempt.store, token)
        return f"the gate process on {names} does not know that the gate is closed" if names else ""

    _wait(attempt, unaware, _CLOSED_S)
    time.sleep(_PASSING_S)
    _wait(attempt, lambda: _at_work(in_flight, "although the gate was closed"), _CLOSED_S)


def _at_work(in_flight: DebugServer, when: str) -> str:
    """Describe the writes or notifications that the registry has not finished; "" if there are none."""
    if writes := in_flight.writes():
        return f"{writes} writes did not end at the registry {when}"
    if events := in_flight.undelivered():
        return f"{events} notifications were not delivered {when}"
    return ""


def _wait(attempt: Attempt, busy: Callable[[], str], at_most_s: float) -> None:
    """Wait until `busy` returns "" and every tag that a deletion may have removed by accident is healed.

    A tag must be healed first because the sweep would delete the layers of its image for good.

    Args:
        busy: returns the reason to wait; "" for none.
        at_most_s: seconds to wait for `busy`.

    Raises:
        Postponed: with the last reason, when the time is over.
    """
    end = time.monotonic() + at_most_s
    heal_by = None
    while True:
        reason = busy()
        heals = _must_heal(attempt)
        heal_by = (heal_by or time.monotonic() + _HEAL_S) if heals else None
        # While a deletion is in progress, it could remove a tag right after the healing has checked that tag.
        if heals and reason != _DELETES:
            attempt.store.outbox.hasten_healing()
        attempt.lease.check()
        if not reason and not heals:
            return
        if heal_by and time.monotonic() > heal_by:
            raise Postponed("a tag must be checked first: a deletion may have removed it by accident")
        if reason and time.monotonic() > end:
            raise Postponed(reason)
        time.sleep(POLL_S)


def _must_heal(attempt: Attempt) -> bool:
    """True if a tag must be healed before the sweep."""
    # With a gate no push can come in between, so that tags of doomed images need no healing.
    if _in_flight(attempt.registry, attempt.gc):
        return bool(attempt.store.outbox.unhealed())
    return bool(attempt.store.outbox.healing())


@contextmanager
def _guarded(attempt: Attempt, token: str) -> Iterator[None]:
    """Give up the lease as soon as the gate is not closed by this holder: a restarted Redis may have lost its state."""
    ended = threading.Event()

    def guard() -> None:
        while not ended.wait(POLL_S):
            try:
                held = attempt.store.gate.state()
            except StoreUnavailable:
                # Without Redis the lease cannot be renewed, and ends by itself.
                continue
            if held is None or held.token != token or held.state != "closed":
                attempt.lease.lost.set()
                return

    threading.Thread(target=guard, name="gate", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _in_flight(registry: Registry, gc: GcSettings) -> DebugServer | None:
    """The counts of the registry's debug server; they matter only behind a gate."""
    return registry.debug if gc.gate == "proxy" else None
