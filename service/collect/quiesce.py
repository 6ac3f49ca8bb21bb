"""Makes it quiet around a collection: no push under way, no delete of ours, the gate closed; and opens it afterwards.

The kernel lock beside the storage is held all the while, with our token in it, and the collector inherits it. Whoever
can take it and reads that token has proved that we, and every collector of ours, are gone: only then does the gate open
again (safety rule 7). A lease that expired proves nothing: its holder may only be paused.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from service.collect import verify
from service.collect.protect import TOO_MANY, Quiet, refuse_unknown
from service.collect.watch import PutOff
from service.domain.errors import RegistryRefused, RegistryUnavailable, StoreUnavailable
from service.log import log
from service.registry.collector import Collector
from service.registry.debug import InFlight
from service.store.connection import new_token
from service.store.gate import CLAIMS_MS, MORE
from service.store.lease import Lease
from service.wiring import Wiring

POLL_S = 0.1
# From the gate's answer to the registry's count of a request it is one step of nginx.
_PASSING_S = 0.5
_CLOSED_S = 15.0
_PROOF_S = 5.0
_HEAL_S = 3.0
_NOT_DEAD = "the gate is held by a collection that is not proved dead"
_UNPROVED = (
    "a collection closed the gate and did not open it, and this worker cannot prove its collector dead: "
    "start a worker with gc.command on that machine or, where it is gone for good, `pushprune gc --open`"
)
_STAYS = "the gate stays closed after a collection: "
_TRIED_AGAIN = "; it is looked at again every half minute, and `pushprune gc --open` opens it until then"
_DELETES = "deletes did not end in time"
_TELL_MS = 60_000
_MOST_NAMES = 3


@contextmanager
def drained(wiring: Wiring, collector: Collector, lease: Lease, reason: str, quiet: Quiet) -> Iterator[None]:
    """Waits until nobody writes, keeps it so while the block runs, and lets everybody in again.

    Raises PutOff when they do not end in time, CollectionFailed when a collector still runs on this host,
    LeaseLost when the lease was lost meanwhile. After a sweep that was not checked the gate stays closed: who pushed
    now might believe a cache. The next run begins there.
    """
    kept = _kept(wiring, collector)
    token, is_claimed = kept or new_token(), False
    try:
        with collector.claimed(token, partial(_succeed, wiring)):
            is_claimed = True
            if not kept:
                _close(wiring, lease, token, reason)
            quiet.begins()
            _wait_for_the_gate(wiring, lease, token)
            with _guarded(wiring, lease, token):
                yield
    finally:
        if is_claimed:
            _open(wiring, collector, token)
            quiet.ends()


def _is_unchecked(wiring: Wiring) -> bool:
    """Whether something was swept, and a run has not seen to its end that the registry does not go on claiming it."""
    return wiring.settings.gc.gate == "proxy" and wiring.garbage.unchecked() is not None


def _why_closed(wiring: Wiring, token: str) -> str:
    """Why it must not open yet, as who pushes now might believe a stale cache; "" for nothing.

    Where the registry lies, the gate is kept closed.
    """
    sweep = wiring.garbage.unchecked() if wiring.settings.gc.gate == "proxy" else None
    if sweep is None:
        return ""
    try:
        found = verify.lie(wiring, sweep.probes)
    except (RegistryUnavailable, RegistryRefused) as error:
        return str(error)  # it is asked again
    if found is None:
        return ""
    reason = f"the registry goes on claiming {found}, which was collected"
    wiring.gate.keep(token, reason)
    return reason


def _succeed(wiring: Wiring, before: str, is_dead: bool) -> None:
    """Opens the gate of a holder that is proved dead, unless it must stay closed: then the next try takes it over."""
    held = wiring.gate.standing()
    if held is None or held.token != before:
        return
    if not is_dead:
        raise PutOff(_NOT_DEAD)
    if held.is_kept or _is_unchecked(wiring):
        raise PutOff("the gate is kept closed until the last sweep is checked")
    wiring.gate.open(before)


def _kept(wiring: Wiring, collector: Collector) -> str | None:
    """The token of a gate that was left closed after a sweep: it is taken over without having been open."""
    held = wiring.gate.standing()
    if held is None or held.state != "closed" or not (held.is_kept or _is_unchecked(wiring)):
        return None
    return held.token if collector.is_dead(held.token) else None


def _close(wiring: Wiring, lease: Lease, token: str, reason: str) -> None:
    refuse_unknown(wiring)
    if not wiring.gate.drain(token, lease.fence, reason):
        raise PutOff(_NOT_DEAD)
    _wait_for_writers(wiring, lease)
    if not wiring.gate.close(token):
        raise PutOff("the gate was opened by somebody else")


def reopen(wiring: Wiring) -> None:
    """Opens a gate whose holder is proved dead; says why where it does not. One that is kept stays."""
    held = wiring.gate.standing()
    if held is None:
        return
    if held.is_kept:
        _complain(wiring, f"{_STAYS}{held.reason}{_TRIED_AGAIN}")
    elif not (wiring.collector and wiring.collector.is_dead(held.token)):
        _complain(wiring, _UNPROVED)
    elif why := _why_closed(wiring, held.token):
        _complain(wiring, f"{_STAYS}{why}{_TRIED_AGAIN}")
    else:
        wiring.gate.open(held.token)
        wiring.outbox.mended("gate")
        log.warning("the gate is open again: the collection that held it is proved dead", because=held.reason)


def _complain(wiring: Wiring, message: str) -> None:
    """Once a minute, while nobody collects who would say it himself."""
    if not wiring.leases.collecting() and wiring.leases.elected("gate", _TELL_MS):
        wiring.outbox.complain("gate", message)


def _open(wiring: Wiring, collector: Collector, token: str) -> None:
    """Opens the gate once nothing that we started is left; where that takes long, the sweep does it later."""
    end = time.monotonic() + _PROOF_S
    while not collector.is_dead(token):
        if time.monotonic() > end:
            log.error("the gate stays closed: something that the collector started still runs")
            return
        time.sleep(POLL_S)
    try:
        if _why_closed(wiring, token):
            return
        wiring.gate.open(token)
        wiring.outbox.mended("gate")
    except StoreUnavailable as error:
        log.warning("the gate is opened when Redis is back", error=str(error))


def _wait_for_writers(wiring: Wiring, lease: Lease) -> None:
    """Waits for pushes, for writes at the registry, and for deletes of ours, of which no other can begin.

    A delete so young that a push which met it may be unheard counts as one.
    """
    in_flight, heard = _in_flight(wiring), _Heard(wiring)
    claims_ms = min(CLAIMS_MS, round(_patience_s(wiring) * 500))

    def busy() -> str:
        if wiring.leases.writers() or wiring.trash.age_s() < wiring.settings.gc.settle:
            return _DELETES
        pushing = wiring.gate.unfinished(claims_ms)
        if MORE in pushing:
            return TOO_MANY
        if pushing:
            more = f" and {len(pushing) - _MOST_NAMES} more" if len(pushing) > _MOST_NAMES else ""
            return f"pushes to {', '.join(pushing[:_MOST_NAMES])}{more} did not end in time"
        if wiring.settings.gc.gate == "none" and heard.since_s() < wiring.settings.gc.settle:
            return "pushes did not end in time"
        return _at_work(in_flight, "in time") if in_flight else ""

    _wait(wiring, lease, busy, _patience_s(wiring))


def _patience_s(wiring: Wiring) -> float:
    """How long it drains: less than a write waits at the gate, so that one slow push fails nobody else's."""
    gc = wiring.settings.gc
    return min(gc.max_wait, gc.gate_wait / 2) if gc.gate == "proxy" else gc.max_wait


class _Heard:
    """When somebody was last heard to push, while this is asked again and again."""

    def __init__(self, wiring: Wiring) -> None:
        self._outbox = wiring.outbox
        self._pushes, self._at = wiring.outbox.pushes(), time.monotonic()

    def since_s(self) -> float:
        """Seconds since then, or since the beginning."""
        if (pushes := self._outbox.pushes()) != self._pushes:
            self._pushes, self._at = pushes, time.monotonic()
        return time.monotonic() - self._at


def _wait_for_the_gate(wiring: Wiring, lease: Lease, token: str) -> None:
    """Waits until everybody who serves the gate obeys it, and what had passed before has ended."""
    _wait(wiring, lease, lambda: _DELETES if wiring.leases.writers() else "", _CLOSED_S)  # one may have healed
    in_flight = _in_flight(wiring)
    if in_flight is None:
        return
    if not wiring.gate.processes():
        raise PutOff("no gate process answers the proxy: start one (pushprune gate)")

    def unaware() -> str:
        names = ", ".join(wiring.gate.unaware(token)[:_MOST_NAMES])
        return f"the gate process {names} does not know that the gate is closed" if names else ""

    _wait(wiring, lease, unaware, _CLOSED_S)
    time.sleep(_PASSING_S)
    _wait(wiring, lease, lambda: _at_work(in_flight, "although the gate was closed"), _CLOSED_S)


def _at_work(in_flight: InFlight, when: str) -> str:
    if writes := in_flight.writes():
        return f"{writes} writes did not end at the registry {when}"
    if events := in_flight.undelivered():
        return f"{events} notifications were not delivered {when}"
    return ""


def _wait(wiring: Wiring, lease: Lease, busy: Callable[[], str], at_most_s: float) -> None:
    """Waits until `busy` says nothing more. Raises PutOff with what it says last.

    What a delete may have taken along is looked at meanwhile: a sweep would take it for good.
    """
    end = time.monotonic() + at_most_s
    heal_by = None
    while True:
        why = busy()
        heals = _must_heal(wiring)
        heal_by = (heal_by or time.monotonic() + _HEAL_S) if heals else None
        if heals and why != _DELETES:  # none is on its way that could take something along after the look
            wiring.outbox.hasten_healing()
        lease.check()
        if not why and not heals:
            return
        if heal_by and time.monotonic() > heal_by:
            raise PutOff("a tag must be looked at first: a delete may have taken it along")
        if why and time.monotonic() > end:
            raise PutOff(why)
        time.sleep(POLL_S)


def _must_heal(wiring: Wiring) -> bool:
    """Whether something must be looked at. Where no push can come in between, what is doomed need not."""
    if _in_flight(wiring):
        return bool(wiring.outbox.unhealed())
    return bool(wiring.outbox.healing())


@contextmanager
def _guarded(wiring: Wiring, lease: Lease, token: str) -> Iterator[None]:
    """Gives the lease up as soon as the gate is not closed for us: a Redis that was restarted may have forgotten it."""
    over = threading.Event()

    def guard() -> None:
        while not over.wait(POLL_S):
            try:
                held = wiring.gate.standing()
            except StoreUnavailable:
                continue  # the lease ends by itself then
            if held is None or held.token != token or held.state != "closed":
                lease.lost.set()
                return

    threading.Thread(target=guard, name="gate", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _in_flight(wiring: Wiring) -> InFlight | None:
    return wiring.in_flight if wiring.settings.gc.gate == "proxy" else None
