"""Commits a plan, and counts what became of it."""

from service.domain.retention.plan import Plan
from service.store.history import Committed, Target
from service.store.snapshot import Snapshot
from service.wiring import Wiring


def commit(wiring: Wiring, snapshot: Snapshot, plan: Plan, target: Target) -> Committed:
    """As History.commit."""
    committed = wiring.history.commit(snapshot, plan, target)
    wiring.meter.count("plans", "stale" if committed is Committed.NOT else target)
    return committed
