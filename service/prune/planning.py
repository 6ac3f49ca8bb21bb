"""Plan one repository right after a push: decide which images the policy no longer keeps, and doom them."""

from dataclasses import replace

from service import tracing
from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.plan import Plan
from service.domain.retention.settled import settle, without_settled
from service.log import log
from service.prune import dates
from service.prune.committing import commit, commit_deletions
from service.prune.ensure_compared import ensure_compared
from service.prune.healing import heal
from service.prune.manual_planning import plan_manual
from service.prune.policy_change import has_policy_in_force
from service.reconcile.compare import compare
from service.registry import Registry
from service.store import Store
from service.store.lease import WORK_MS
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_ROUNDS = 50
# Far fewer than the tags that may be recorded of a repository that was never found at the registry.
_MANY_TAGS = 100
_WAIT_S = 0.3


def enforce(wiring: Wiring, repository: str) -> None:
    """Bring the doomed digests of one repository up to date with its history and the policy.

    Safe to run twice and at the same time: one worker holds the repository's lease, and a plan commits only against the
    snapshot it was made from. Unfinished work stays in the outbox.
    """
    # A plan of very many tags keeps the thread that renews the lease waiting for seconds.
    life_ms = WORK_MS + wiring.store.history.count_tags(repository) // 10
    with wiring.store.leases.hold(f"enforce:{repository}", life_ms, wait_s=_WAIT_S) as lease:
        if lease is None:
            return
        for _ in range(_ROUNDS):
            lease.check()
            snapshot = wiring.store.history.snapshot(repository)
            pushes = _pushes(snapshot)
            about = {"repository": repository, "tags_before": len(snapshot.tags)}
            with tracing.span("plan", next(iter(pushes), ""), pushes[1:], **about):
                is_settled = _plan_once(wiring, snapshot)
                tracing.note(settled=is_settled)
            if is_settled:
                wiring.store.outbox.succeeded("due", repository)
                return
    log.info("the repository keeps changing; it is planned again within seconds", repository=repository)


def _pushes(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the trace contexts of pushes that no plan has answered: the last push of each tag, the newest first."""
    if not tracing.is_on():
        return ()
    pushed = [(tag.pushed_us or 0, tag.name, tag.digest) for tag in snapshot.tags if tag.is_reported]
    new = sorted((push for push in pushed if push[0] > (snapshot.planned_us or 0)), reverse=True)
    return tuple(
        tracing.push_context(snapshot.repository, name, digest, pushed_us)
        for pushed_us, name, digest in new[: tracing.MOST_LINKS]
    )


def _plan_once(wiring: Wiring, snapshot: Snapshot) -> bool:
    """Plan once. Return True if a plan was committed, False if the repository must be planned again."""
    if _may_reach_limit(wiring.store, snapshot):
        compare(wiring.store, wiring.registry, snapshot)
        return False
    policy = wiring.policies.current()
    if not has_policy_in_force(wiring.policies, snapshot):
        # Another worker plans, or the sweep compares the changed policy and then makes every repository due.
        return not heal(wiring, snapshot, Plan())
    if snapshot.manual_deletions or snapshot.manual_deleted:
        settled = plan_manual(wiring, snapshot)
        if settled is not None:
            return settled
    if policy is None:
        if heal(wiring, snapshot, Plan()):
            return False
        return commit(wiring.store, wiring.registry, snapshot, Plan(planned_us=snapshot.newest_us), "none").is_settled
    plan = plan_policy(snapshot, policy, now_us())
    if heal(wiring, snapshot, Plan() if policy.dry_run or plan.hold else plan):
        return False
    # A comparison found tags whose events may still arrive until this time, with the push times of these tags.
    reports_until_us = snapshot.reports_until_us
    if plan.undated or (plan.unseen and reports_until_us <= now_us()):
        unseen = plan.unseen if reports_until_us <= now_us() else ()
        dates.date(wiring.store, wiring.registry, snapshot, (*plan.undated, *unseen))
        return False
    if plan.unseen:
        plan = replace(plan, next_us=min(reports_until_us, plan.next_us or reports_until_us))
    plan = replace(plan, unannounced=planner.kept_unannounced(snapshot, policy, now_us(), plan))
    if not plan.doomed and not plan.unresolved:
        return commit(wiring.store, wiring.registry, snapshot, plan, "none").is_settled
    if ensure_compared(wiring.store, wiring.registry, snapshot, plan):
        return False
    if policy.dry_run:
        return _commit_dry(wiring.store, wiring.registry, snapshot, plan, policy)
    if plan.hold:
        return _commit_held(wiring.store, wiring.registry, snapshot, plan, policy)
    return commit_deletions(wiring, snapshot, plan, policy, "doomed")


def _may_reach_limit(store: Store, snapshot: Snapshot) -> bool:
    """True if a comparison is needed although nothing may be doomed.

    Until one finds the repository at the registry, its pushes are recorded up to a limit of tags only.
    """
    return not snapshot.compared and len(snapshot.tags) >= _MANY_TAGS and store.unseen.has(snapshot.repository)


def plan_policy(snapshot: Snapshot, policy: Policy, now_us: int) -> Plan:
    """Return the plan of `plan_deletions`. In a large repository, only the tags that are not settled are decided."""
    read = snapshot.remembered
    if read is None:
        return planner.plan_deletions(snapshot, policy, now_us)
    settled = read.memory.settled
    if settled and settled.policy is policy:
        evaluation = without_settled(settled, snapshot, now_us, read.tags, read.changed)
        if evaluation:
            return planner.plan_evaluated(evaluation)
    evaluation = Evaluation(snapshot, policy, now_us)
    plan = planner.plan_evaluated(evaluation)
    read.memory.settled = settle(evaluation, read.changed)
    return plan


def _commit_dry(store: Store, registry: Registry, snapshot: Snapshot, plan: Plan, policy: Policy) -> bool:
    committed = commit(store, registry, snapshot, plan, "dry_run", policy)
    if committed.is_stale:
        return False
    for doomed in plan.doomed:
        for verdict in doomed.verdicts:
            name = verdict.tag.called(snapshot.repository)
            log.info("would delete (dry_run)", tag=name, digest=doomed.digest, reason=verdict.reason)
    return committed.is_settled


def _commit_held(store: Store, registry: Registry, snapshot: Snapshot, plan: Plan, policy: Policy) -> bool:
    committed = commit(store, registry, snapshot, plan, "held", policy)
    if committed.is_stale:
        return False
    # A push to a repository whose plan already waits is not worth another warning.
    if not snapshot.held:
        hint = f"see it: pushprune prune --held; approve it: pushprune prune --approve {snapshot.repository} --yes"
        log.warning("the plan waits for approval", repository=snapshot.repository, reason=plan.hold, how=hint)
    return committed.is_settled
