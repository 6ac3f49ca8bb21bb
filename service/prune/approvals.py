"""Approve and reject the plans that wait for approval. The history records who decided."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from service.dispatch import Dispatch
from service.domain.errors import NotWaiting
from service.domain.policy.units import spell_count
from service.reports.held_plans import joint_name, undecided
from service.store import Store
from service.store.approvals import Hold


def approve(store: Store, dispatch: Dispatch, repository: str, plan: str | None, *, by: str) -> int:
    """Approve the waiting plan of a repository; return the number of approved images.

    Args:
        plan: the plan that the approver looked at; None for the plan that waits now.

    Raises:
        NotWaiting: no plan waits, or another plan.
    """
    reason = store.approvals.held(repository) or ""
    approved = store.approvals.approve(repository, plan)
    if not approved:
        raise NotWaiting(_why_not_waiting(store, repository))
    store.approvals.note(repository, "approved", by, f"{spell_count(approved, 'image')} may be deleted: {reason}")
    plan_now(store, dispatch, [repository])
    return approved


def plan_now(store: Store, dispatch: Dispatch, repositories: Sequence[str]) -> None:
    """Let the workers plan these repositories again now."""
    for name in store.outbox.mark_due(repositories):
        dispatch.enforce(name)


@dataclass(frozen=True, slots=True)
class Approved:
    """The numbers of repositories and images that were approved together."""

    repositories: int
    images: int


def approve_all(store: Store, dispatch: Dispatch, plans: str | None, *, by: str) -> Approved:
    """Approve every plan that waits and was not rejected.

    Args:
        plans: the name of the plans that were looked at, as `joint_name` gives it; None: all that wait now.

    Raises:
        NotWaiting: nothing waits, or other plans than those.
    """
    holds = undecided(store)
    if not holds:
        raise NotWaiting("no plan waits for approval; GET /api/v1/holds lists waiting plans")
    if plans not in (None, joint_name(holds)):
        raise NotWaiting("the waiting plans have changed; GET /api/v1/holds lists them")
    images = repositories = 0
    for hold in holds:
        try:
            images += approve(store, dispatch, hold.repository, hold.plan, by=by)
        except NotWaiting:
            # Another plan replaced this one just now, and waits for an approval of its own.
            continue
        repositories += 1
    return Approved(repositories, images)


def reject(store: Store, repository: str, plan: str | None, *, by: str) -> Hold:
    """Reject the waiting plan of a repository and return it. The plan still waits, but is no longer undecided.

    Args:
        plan: the plan that the user looked at; None for the plan that waits now.

    Raises:
        NotWaiting: no plan waits, or another plan.
    """
    hold = next((hold for hold in store.approvals.holds([repository]) if plan in (None, hold.plan)), None)
    if hold is None:
        raise NotWaiting(_why_not_waiting(store, repository))
    store.approvals.reject(repository, hold.plan, by)
    store.approvals.note(repository, "refused", by, f"{spell_count(len(hold.digests), 'image')} kept: {hold.reason}")
    return hold


@dataclass(frozen=True, slots=True)
class PlanDecision:
    """The result of a decision about one plan. error: why the plan was not decided, as a sentence; "" if it was."""

    repository: str
    images: int
    error: str = ""


def approve_each(
    store: Store, dispatch: Dispatch, plans: Iterable[tuple[str, str]], *, by: str
) -> tuple[PlanDecision, ...]:
    """Approve several plans, given as (repository, plan). A plan that was replaced meanwhile is left out."""
    return _decided(plans, lambda repository, plan: approve(store, dispatch, repository, plan, by=by))


def reject_each(store: Store, plans: Iterable[tuple[str, str]], *, by: str) -> tuple[PlanDecision, ...]:
    """Reject several plans, given as (repository, plan). A plan that was replaced meanwhile is left out."""
    return _decided(plans, lambda repository, plan: len(reject(store, repository, plan, by=by).digests))


def _decided(plans: Iterable[tuple[str, str]], decide: Callable[[str, str], int]) -> tuple[PlanDecision, ...]:
    decisions = []
    for repository, plan in plans:
        try:
            decisions.append(PlanDecision(repository, decide(repository, plan)))
        except NotWaiting as error:
            decisions.append(PlanDecision(repository, 0, str(error)))
    return tuple(decisions)


def _why_not_waiting(store: Store, repository: str) -> str:
    if store.approvals.held(repository):
        return f"the plan for {repository!r} has changed; GET /api/v1/holds shows the new one"
    return f"no plan for {repository!r} waits for approval; GET /api/v1/holds lists waiting plans"
