"""Request collections and reconcile runs when they are due, and notice restarts of the registry."""

from datetime import UTC, datetime

from service.clock import now_ms
from service.cron import is_due
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.history import reconciliation
from service.log import log
from service.registry import Registry
from service.registry.debug import DebugServer
from service.settings import Settings
from service.store import Store
from service.wiring import Wiring

_LOOK_MS = 2000
_START_MS = 5000


def follow_schedule(store: Store, registry: Registry, settings: Settings) -> None:
    """Request a collection if the schedule had a time since the last check."""
    schedule = settings.gc.schedule
    if not schedule or registry.collector is None:
        return
    if is_due(schedule, datetime.fromtimestamp(store.collections.scheduled(now_ms()) / 1000, UTC)):
        store.collections.request_if_none(f"scheduled ({schedule})")
        store.collections.take_schedule(now_ms())


def follow_reconcile_runs(wiring: Wiring) -> None:
    """Request a reconcile run at the first start, after every restart of the registry and by the schedule.

    A run that is overdue is sent to the workers again.
    """
    runs, now = wiring.store.reconcile_runs, now_ms()
    if wiring.registry.debug and wiring.store.leases.elected("started", _START_MS):
        _note_start(wiring.store, wiring.registry.debug)
    if wiring.store.leases.elected("walk", _LOOK_MS):
        reason = reconciliation.why(runs.last_epoch(), runs.epoch())
        schedule = wiring.settings.reconcile.schedule
        if reason:
            runs.request_if_none(reason)
        elif schedule and is_due(schedule, datetime.fromtimestamp(runs.scheduled(now) / 1000, UTC)):
            runs.request_if_none(f"scheduled ({schedule})")
            runs.take_schedule(now)
    if runs.overdue():
        wiring.dispatch.reconcile()


def _note_start(store: Store, debug: DebugServer) -> None:
    """Record restarts of the registry, by its debug server.

    The registry loses unsent notifications at a restart. Without the debug server, only the next event would show it.
    """
    try:
        starts = debug.starts()
    except (RegistryUnavailable, RegistryRefused):
        # Functions that need the debug server report its failure themselves.
        return
    restarted = [start for start in starts if store.reconcile_runs.note_registry_start(start.reported, start.age_ms)]
    if restarted:
        log.info("the registry was restarted; a comparison finds the pushes that it had not reported")
