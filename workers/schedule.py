"""Wants a collection, or a walk over the registry, when its time has come; notices that the registry restarted."""

from datetime import UTC, datetime

from service.domain import reconciliation
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.log import log
from service.registry.debug import InFlight
from service.schedule import is_due
from service.store.collections import now_ms
from service.wiring import Wiring

_LOOK_MS = 2000
_START_MS = 5000


def follow_schedule(wiring: Wiring) -> None:
    """Wants a collection where a time of the schedule has come since the last look."""
    schedule = wiring.settings.gc.schedule
    if not schedule or wiring.collector is None:
        return
    if is_due(schedule, datetime.fromtimestamp(wiring.garbage.scheduled(now_ms()) / 1000, UTC)):
        wiring.garbage.want(f"scheduled ({schedule})")
        wiring.garbage.take_schedule(now_ms())


def follow_walks(wiring: Wiring) -> None:
    """Wants everything compared at the first start, after every restart and by the schedule; sends what is overdue."""
    walks, now = wiring.walks, now_ms()
    if wiring.in_flight and wiring.leases.elected("started", _START_MS):
        _note_start(wiring, wiring.in_flight)
    if wiring.leases.elected("walk", _LOOK_MS):
        reason = reconciliation.why(walks.epoch_walked(), walks.epoch())
        schedule = wiring.settings.reconcile.schedule
        if reason:
            walks.want(reason)
        elif schedule and is_due(schedule, datetime.fromtimestamp(walks.scheduled(now) / 1000, UTC)):
            walks.want(f"scheduled ({schedule})")
            walks.take_schedule(now)
    if walks.overdue():
        wiring.dispatch.reconcile()


def _note_start(wiring: Wiring, debug: InFlight) -> None:
    """Events get lost at a restart, and until the next one comes nothing else tells of it."""
    try:
        starts = debug.starts()
    except (RegistryUnavailable, RegistryRefused):
        return  # whoever cannot do without the debug server says so
    restarted = [start for start in starts if wiring.walks.started(start.said, start.age_ms)]
    if restarted:
        log.info("the registry was restarted; what it had not told yet is looked for")
