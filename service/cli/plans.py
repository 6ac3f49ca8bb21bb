"""Plan repositories of the running service, and show the plans that wait for approval."""

from collections.abc import Sequence

import click

from service.answers.repositories import Holds
from service.cli.output import line, show_document, show_names, table, when
from service.dispatch import Dispatch
from service.domain.policy.units import spell_count
from service.domain.retention.manual import DRY
from service.prune import approvals
from service.reports import held_plans
from service.reports.held_plans import Waiting
from service.reports.verdicts import Verdicts
from service.store import Store


def plan_now(store: Store, dispatch: Dispatch, verdicts: Verdicts, names: Sequence[str], as_document: bool) -> None:
    """Let the workers plan these repositories, and print which plans wait for approval."""
    approvals.plan_now(store, dispatch, names)
    waiting = held_plans.waiting(store, names)
    if as_document:
        show_document(Holds.of(waiting))
        return
    counted = spell_count(len(names), "repository")
    line(f"planning {counted}: a worker deletes what the policy does not keep; `pushprune trash` lists it")
    for plan in waiting:
        hold = plan.hold
        line(f"{hold.repository}: nothing is deleted: the plan waits for approval: {hold.reason}")
        line(_next_steps(hold.repository, hold.plan))
    if verdicts.is_dry():
        line(DRY)


def show_held(store: Store, names: Sequence[str], as_document: bool) -> None:
    """Print the plans of these repositories that wait for approval."""
    plans = held_plans.waiting(store, names)
    if as_document:
        show_document(Holds.of(plans))
        return
    if show_names(plan.hold.repository for plan in plans):
        return
    if unplanned := held_plans.unplanned(store):
        line(f"still to be planned: {spell_count(unplanned, 'repository')}")
    if not plans:
        click.echo("no plan waits for approval")
        return
    rows = (
        (plan.hold.repository, when(plan.hold.at_us), str(len(plan.hold.digests)), plan.hold.plan, _why(plan))
        for plan in plans
    )
    table(("repository", "since", "images", "plan", "why it waits"), rows)
    holds = [plan.hold for plan in plans]
    if len(holds) == 1:
        line(_next_steps(holds[0].repository, holds[0].plan))
    else:
        line(f"{_next_steps('REPO', 'PLAN')}; approve all: pushprune prune --approve-all")


def _why(plan: Waiting) -> str:
    return f"rejected by {plan.rejection.by}: {plan.hold.reason}" if plan.rejection else plan.hold.reason


def _next_steps(repository: str, plan: str) -> str:
    approve = f"pushprune prune --approve {repository} --plan {plan}"
    return f"review: pushprune prune --dry-run {repository}; approve: {approve}"
