"""Commit a plan and count the result."""

from service.domain.retention.plan import Plan
from service.store.history import CommitResult, Target
from service.store.snapshot import Snapshot
from service.wiring import Wiring


def commit(wiring: Wiring, snapshot: Snapshot, plan: Plan, target: Target) -> CommitResult:
    """Commit a plan as `History.commit` does, and count the result in the metrics."""
    committed = wiring.history.commit(snapshot, plan, target)
    wiring.meter.count("plans", "stale" if committed is CommitResult.STALE else target)
    return committed
