"""Commit a plan and count the result."""

from service.domain.retention.plan import Plan
from service.store import Store
from service.store.history import CommitResult, Target
from service.store.snapshot import Snapshot


def commit(store: Store, snapshot: Snapshot, plan: Plan, target: Target) -> CommitResult:
    """Commit a plan as `History.commit` does, and count the result in the metrics."""
    committed = store.history.commit(snapshot, plan, target)
    store.meter.count("plans", "stale" if committed is CommitResult.STALE else target)
    return committed
