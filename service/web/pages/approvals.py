"""The approvals page: plans that wait, with what they would delete; approve or reject one, or several together."""

from collections.abc import Sequence

from flask import Blueprint, Response, request

from service.dispatch import Dispatch
from service.domain.errors import ConfigurationError, NoSuchRepository, StoreUnavailable
from service.domain.policy.units import spell_count
from service.prune import approvals
from service.prune.approvals import PlanDecision
from service.reports import held_plans
from service.reports.held_plans import Waiting, held_images
from service.reports.verdicts import Verdicts
from service.store import Store
from service.web.pages import rendering

NAME = "Approvals"

_PAGE = 20
_ROWS = 1000


def pending(store: Store) -> int:
    """Return the number of plans that wait and were not rejected; 0 while Redis does not answer."""
    try:
        return len(held_plans.undecided(store))
    except StoreUnavailable:
        return 0


def add(pages: Blueprint, store: Store, dispatch: Dispatch, verdicts: Verdicts) -> None:
    """Add the page, its panel and its forms."""

    @pages.get("/approvals", endpoint="approvals")
    def approvals_page() -> Response:
        return rendering.page("approvals.html", asked=rendering.query("after", "select"))

    @pages.get("/panels/approvals/list")
    def approvals_list() -> Response:
        waiting = _undecided_first(held_plans.waiting(store))
        start = next((at + 1 for at, plan in enumerate(waiting) if _item(plan) == request.args.get("after")), 0)
        shown = waiting[start : start + _PAGE]
        return rendering.panel(
            "approvals_list.html",
            "Approvals",
            plans=tuple(held_images(verdicts, plan) for plan in shown),
            count=len(waiting),
            after=_item(shown[-1]) if start + _PAGE < len(waiting) else "",
            is_later=start > 0,
            is_selected="select" in request.args,
        )

    @pages.get("/panels/approvals/images/<path:repository>")
    def approvals_images(repository: str) -> Response:
        plan = next(iter(held_plans.waiting(store, [repository])), None)
        if plan is None:
            raise NoSuchRepository(f"no plan of {repository} waits for approval any more: reload the page")
        values = {"plan": held_images(verdicts, plan), "most": _ROWS}
        return rendering.panel("approvals_images.html", f"To be deleted from {repository}", **values)

    @pages.post("/approvals/confirm")
    def approvals_confirm() -> Response:
        """Show what the decision about the selected plans means. Nothing is changed yet."""
        chosen = {f"{repository}@{plan}" for repository, plan in _chosen()}
        plans = [held_images(verdicts, plan) for plan in held_plans.waiting(store) if _item(plan) in chosen]
        if len(plans) < len(chosen):
            raise ConfigurationError("a new plan replaced one of the selected plans: reload the page and decide again")
        is_approval = request.form.get("do") != "reject"
        return rendering.page("approvals_confirm.html", plans=plans, is_approval=is_approval)

    @pages.post("/approvals/approve")
    def approve() -> Response:
        decided = approvals.approve_each(store, dispatch, _chosen(), by=rendering.current_visitor().name)
        return _decided(decided, "Approved", "will be deleted")

    @pages.post("/approvals/reject")
    def reject() -> Response:
        decided = approvals.reject_each(store, _chosen(), by=rendering.current_visitor().name)
        return _decided(decided, "Rejected", "are kept")


def _item(plan: Waiting) -> str:
    """Return the value of a plan in a form: the approval is valid for exactly this plan."""
    return f"{plan.hold.repository}@{plan.hold.plan}"


def _undecided_first(waiting: Sequence[Waiting]) -> Sequence[Waiting]:
    return sorted(waiting, key=lambda plan: (plan.rejection is not None, plan.hold.at_us))


def _chosen() -> tuple[tuple[str, str], ...]:
    """Return (repository, plan) of the plan whose button was used, or of each selected plan.

    Raises:
        ConfigurationError: no plan is selected.
    """
    items = request.form.getlist("only") or request.form.getlist("item")
    chosen = tuple(item.rpartition("@")[::2] for item in dict.fromkeys(items))
    if not chosen:
        raise ConfigurationError("no plan is selected: tick at least one")
    return tuple((repository, plan) for repository, plan in chosen)


def _decided(decisions: Sequence[PlanDecision], done: str, meaning: str) -> Response:
    """Redirect back with the result of each plan that could not be decided, and the sum of the others."""
    failed = [decision for decision in decisions if decision.error]
    images = sum(decision.images for decision in decisions)
    repositories = len(decisions) - len(failed)
    sentence = f"{done}: {spell_count(images, 'image')} of {spell_count(repositories, 'repository')} {meaning}."
    if failed:
        sentence = " ".join([sentence] * bool(repositories) + ["Not decided:", "; ".join(d.error for d in failed)])
    return rendering.redirect_back(sentence, failed=bool(failed))
