"""Commit a plan and count the result."""

from collections.abc import Iterable
from dataclasses import replace

from service.domain.policy.model import Policy
from service.domain.retention.plan import Doomed, Plan
from service.settings import PolicySource
from service.store import Store
from service.store.history import CommitResult, Target
from service.store.snapshot import Snapshot


def commit(store: Store, snapshot: Snapshot, plan: Plan, target: Target) -> CommitResult:
    """Commit a plan as `History.commit` does, and count the result in the metrics."""
    committed = store.history.commit(snapshot, plan, target)
    store.meter.count("plans", "stale" if committed is CommitResult.STALE else target)
    return committed


def doomed_by(policies: PolicySource, policy: Policy | None, images: Iterable[Doomed]) -> tuple[Doomed, ...] | None:
    """Return the images with the name of the policy that their plan was made by; None if another is in force by now.

    Another thread may have read a changed policy while this one asked the registry. A deletion believes the name.
    """
    name = policies.name
    return tuple(replace(image, policy=name) for image in images) if policies.current() == policy else None
