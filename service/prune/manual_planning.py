"""Doom the images that a user asked to delete (manual deletion), before the policy is applied."""

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.manual import rejections
from service.domain.retention.plan import Plan
from service.log import log
from service.prune.committing import commit_deletions
from service.prune.ensure_compared import ensure_compared
from service.prune.healing import heal
from service.store import Store
from service.store.snapshot import Snapshot
from service.wiring import Wiring


def plan_manual(wiring: Wiring, snapshot: Snapshot) -> bool | None:
    """Plan the manual deletions of one repository once.

    Safety rules 1 to 5 apply to a manual deletion as to any other. It does not wait for an approval or for a rule.

    Returns:
        True if the plan was committed, False if the repository must be planned again, None if no manual deletion is
        left to plan.
    """
    in_force = wiring.policies.current()
    policy = in_force or Policy()
    plan = planner.plan(snapshot, policy, now_us(), manual_only=True)
    refused = rejections(snapshot, policy, plan)
    if refused:
        _reject(wiring.store, snapshot, refused)
        return False
    if not plan.doomed:
        return None
    if heal(wiring, snapshot, _all_deletions(snapshot, policy, plan)) or ensure_compared(
        wiring.store, wiring.registry, snapshot, plan
    ):
        return False
    return commit_deletions(wiring, snapshot, plan, in_force, "manual")


def _reject(store: Store, snapshot: Snapshot, refused: dict[str, str]) -> None:
    store.manual.reject(snapshot.repository, snapshot.manual_deletions, refused)
    for name, reason in refused.items():
        why = reason or "it was pushed again since, or does not exist any more"
        log.info("a manual deletion was rejected", repository=snapshot.repository, name=name, why=why)


def _all_deletions(snapshot: Snapshot, policy: Policy, plan: Plan) -> Plan:
    """Return the plan by which healing decides what remains deleted: the policy's plan, or this one.

    Healing must not restore an image that the policy deletes, too.
    """
    if policy.dry_run:
        return plan
    whole = planner.plan_deletions(snapshot, policy, now_us())
    return plan if whole.hold else whole
