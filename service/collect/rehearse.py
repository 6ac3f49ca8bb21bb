"""The dry run before the gate closes, so that on a large storage no client has to wait for it.

Its report is used if nothing has changed since: no push, no deletion and no restart of the registry was reported, no
unfinished push needs another blob, and every manifest that exists once the gate is closed was marked. Otherwise the
dry run is repeated behind the closed gate.
"""

import time
from dataclasses import dataclass

from service.collect import marks
from service.collect.attempt import Attempt
from service.collect.quiesce import POLL_S
from service.collect.watch import Postponed, Watch
from service.domain.errors import CollectionFailed, CollectionTooSlow, RegistryRefused, RegistryUnavailable
from service.log import log
from service.registry.collector_report import Report
from service.settings.gc import GcSettings
from service.store import Store

_KINDS = ("", "blob ", "own ")
_EVENTS = tuple(f"{kind}{action}" for kind in _KINDS for action in ("push", "mount", "delete"))
_CHANGES = (*_EVENTS, "deleted", "untagged", "healed", "lost", "restored")
_WRITERS_S = 10.0
_Past = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Early:
    """The report of a dry run that ran while the gate was open.

    Attributes:
        past: the restarts and the counted changes that were known before the dry run began.
        began_ms: when the dry run began, by the clock of Redis.
        compared: the history, compared with the marks while the gate was open; None if that failed.
    """

    report: Report
    past: _Past
    began_ms: int
    compared: marks.Comparison | None = None


def let_settle(attempt: Attempt) -> None:
    """Wait, while the gate is open, for the end of pushprune's own deletions, so that clients need not wait for them.

    No new deletion can begin meanwhile, because the caller holds the lease. `drained` waits for those that do not end
    in time.
    """
    store, gc = attempt.store, attempt.gc
    if gc.gate != "proxy":
        return
    end = time.monotonic() + min(gc.max_wait, gc.settle + _WRITERS_S)
    while (store.leases.writers() or store.trash.age_s() < gc.settle) and time.monotonic() < end:
        attempt.lease.check()
        # A tag is healed only once the gate drains, so waiting here would delay the healing.
        if store.outbox.healing() or store.gate.state():
            return
        time.sleep(POLL_S)


def rehearse_early(attempt: Attempt) -> Early | None:
    """Do a dry run while the gate is open; None if there is no gate, or if the report could not be used.

    Raises:
        CollectionTooSlow: the dry run took too long. Behind the closed gate it would be as slow, with clients waiting.
    """
    store, gc, gate = attempt.store, attempt.gc, attempt.store.gate
    # While another holder has the gate, a dry run would take the collector's lock, and that holder could not be
    # proved dead.
    if gc.gate != "proxy" or gate.state() or _is_unquiet(store, gc) or store.pushes.repositories(0):
        return None
    began_ms, past = store.connection.now_ms(), _past(store)
    try:
        with Watch(store, attempt.lease) as watch:
            report = watch.run(attempt.collector).report
    except CollectionTooSlow:
        raise
    except (CollectionFailed, Postponed) as error:
        attempt.lease.check()
        log.info("the dry run with the gate open failed; another follows with the gate closed", why=str(error))
        return None
    return Early(report, past, began_ms, _compared(attempt, report))


def _compared(attempt: Attempt, report: Report) -> marks.Comparison | None:
    """Compare the history with the marks while clients need not wait for it."""
    try:
        return marks.refuse_unmarked(attempt.store, attempt.registry, report.marks)
    except (CollectionFailed, RegistryRefused, RegistryUnavailable):
        # The comparison behind the closed gate decides.
        return None


def still_holds(attempt: Attempt, rehearsed: Early) -> bool:
    """True if a dry run with the gate closed would report the same."""
    store = attempt.store
    if _is_unquiet(store, attempt.gc) or _past(store) != rehearsed.past or store.pushes.noted_since(rehearsed.began_ms):
        return False
    try:
        marks.refuse_unmarked(store, attempt.registry, rehearsed.report.marks, rehearsed.compared)
    except (CollectionFailed, RegistryRefused):
        # The dry run behind the closed gate decides.
        return False
    return True


def _is_unquiet(store: Store, gc: GcSettings) -> bool:
    """True if pushprune itself may still change the registry: by a deletion, a healing or an interrupted collection."""
    return bool(
        store.leases.writers()
        or store.trash.age_s() < gc.settle
        or store.outbox.healing()
        or store.collections.open_check()
        or store.gate.pins()
    )


def _past(store: Store) -> _Past:
    """The last restart of the registry, and the counter of each kind of change."""
    counters = store.outbox.counters()
    return store.outbox.restarts(), tuple(counters.get(name, 0) for name in _CHANGES)
