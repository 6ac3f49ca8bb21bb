"""The dry run before the gate closes: on a large store it takes long, and nobody need wait for it.

It counts where nothing has changed since: no push, no delete, no restart of the registry was heard, nothing is loose
that was not before, and all that stands once the gate is closed was marked. Otherwise there is another one behind it.
"""

import time
from dataclasses import dataclass

from service.collect import marks
from service.collect.quiesce import POLL_S
from service.collect.watch import PutOff, Watch
from service.domain.errors import CollectionFailed, CollectionTooSlow, RegistryRefused
from service.log import log
from service.registry.collector import Collector, Report
from service.store.lease import Lease
from service.wiring import Wiring

_KINDS = ("", "blob ", "own ")
_EVENTS = tuple(f"{kind}{action}" for kind in _KINDS for action in ("push", "mount", "delete"))
_CHANGES = (*_EVENTS, "deleted", "untagged", "healed", "lost", "restored")
_WRITERS_S = 10.0
_Past = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Early:
    """What a dry run said while the gate was open. past: what had been heard before it began, at `began_ms`."""

    report: Report
    past: _Past
    began_ms: int


def let_settle(wiring: Wiring, lease: Lease) -> None:
    """Waits, while the gate is open, until deletes of ours are over: none can begin, and whoever pushes need not wait.

    Not while something must be healed: only a gate that drains lets that in. What is not over by then `drained` awaits.
    """
    gc = wiring.settings.gc
    if gc.gate != "proxy":
        return
    end = time.monotonic() + min(gc.max_wait, gc.settle + _WRITERS_S)
    while (wiring.leases.writers() or wiring.trash.age_s() < gc.settle) and time.monotonic() < end:
        lease.check()
        if wiring.outbox.healing() or wiring.gate.standing():
            return
        time.sleep(POLL_S)


def early(wiring: Wiring, collector: Collector, lease: Lease) -> Early | None:
    """A dry run while the gate is open; None where that can tell nothing, or where there is no gate to close.

    Nor while another holds the gate: the collector's lock would keep that one from being proved dead. Raises
    CollectionTooSlow: behind the gate it would be no faster, and everybody would wait for it.
    """
    gate = wiring.gate
    if wiring.settings.gc.gate != "proxy" or gate.standing() or _is_unquiet(wiring) or gate.unfinished(0):
        return None
    began_ms, past = wiring.connection.now_ms(), _past(wiring)
    try:
        with Watch(wiring, lease) as watch:
            report = watch.run(collector).report
    except CollectionTooSlow:
        raise
    except (CollectionFailed, PutOff) as error:
        lease.check()
        log.info("the dry run while the gate is open came to nothing; there will be another", why=str(error))
        return None
    return Early(report, past, began_ms)


def still_holds(wiring: Wiring, rehearsed: Early) -> bool:
    """Whether, now that the gate is closed, a dry run would say the same."""
    if _is_unquiet(wiring) or _past(wiring) != rehearsed.past or wiring.gate.noted_since(rehearsed.began_ms):
        return False
    try:
        marks.refuse_unmarked(wiring, rehearsed.report.marks)
    except (CollectionFailed, RegistryRefused):
        return False  # the next one says whether that is so
    return True


def _is_unquiet(wiring: Wiring) -> bool:
    """Whether something of ours may change what stands there: a delete, a healing, or what an earlier run has left."""
    return bool(
        wiring.leases.writers()
        or wiring.trash.age_s() < wiring.settings.gc.settle
        or wiring.outbox.healing()
        or wiring.garbage.unchecked()
        or wiring.gate.held()
    )


def _past(wiring: Wiring) -> _Past:
    counters = wiring.outbox.counters()
    return wiring.outbox.restarts(), tuple(counters.get(name, 0) for name in _CHANGES)
