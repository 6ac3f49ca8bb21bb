"""Commit a plan and count the result."""

from dataclasses import replace

from service.domain.policy.model import Policy
from service.domain.retention.plan import Plan
from service.store import Store
from service.store.history import CommitResult, Target
from service.store.snapshot import Snapshot
from service.wiring import Wiring


def commit(store: Store, snapshot: Snapshot, plan: Plan, target: Target) -> CommitResult:
    """Commit a plan as `History.commit` does, and count the result in the metrics."""
    committed = store.history.commit(snapshot, plan, target)
    store.meter.count("plans", "stale" if committed is CommitResult.STALE else target)
    return committed


def commit_deletions(wiring: Wiring, snapshot: Snapshot, plan: Plan, policy: Policy | None, target: Target) -> bool:
    """Commit the deletions of a plan, and send the task that makes them.

    Args:
        wiring: the collaborators.
        snapshot: the state that the plan was made from.
        plan: the plan.
        policy: the policy that the plan was made by. The deletions carry its name, which a deletion believes.
        target: the place where the deletions wait.

    Returns:
        False if the repository must be planned again.
    """
    name = wiring.policies.name
    # Another thread may have read a changed policy while this one asked the registry.
    if wiring.policies.current() != policy:
        return False
    doomed = tuple(replace(image, policy=name) for image in plan.doomed)
    committed = commit(wiring.store, snapshot, replace(plan, doomed=doomed), target)
    if committed is CommitResult.COMMITTED:
        wiring.dispatch.delete(snapshot.repository)
    return committed is not CommitResult.STALE
