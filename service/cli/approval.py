"""`pushprune prune --approve` and `--approve-all`: approve plans that wait for approval."""

import sys
from collections.abc import Sequence

import click

from service.answers.repositories import ApprovalOfAll
from service.cli.output import line, show_document, when
from service.cli.user import login_name
from service.dispatch import Dispatch
from service.domain.errors import ConfigurationError, NotWaiting
from service.domain.policy.units import spell_count
from service.prune import approvals
from service.reports import held_plans
from service.store import Store


def approve(store: Store, dispatch: Dispatch, names: Sequence[str], plan: str | None, yes: bool) -> ApprovalOfAll:
    """Approve the waiting plan of each repository, and return the number of plans and images.

    Args:
        plan: the name of the plan to approve; None for the plan that waits now.
        yes: approve without asking the user. Has no effect with `plan`, which never asks.

    Raises:
        NotWaiting: no plan waits, or the plan changed meanwhile.
    """
    holds = tuple(plan.hold for plan in held_plans.waiting(store, names))
    if not holds:
        raise NotWaiting(
            "no plan of these repositories waits for approval; `pushprune prune --held` lists those that do"
        )
    if plan is None and not yes and not sys.stdin.isatty():
        raise ConfigurationError(
            f"not a terminal: add --plan {holds[0].plan} to approve the plan that `pushprune prune --held` shows for "
            f"{holds[0].repository}, or --yes to approve the plan that waits now"
        )
    repositories = images = 0
    for hold in holds:
        waits = f"waiting since {when(hold.at_us)}: {hold.reason} (plan {hold.plan})"
        if not (plan or yes or _agreed(f"{hold.repository}: {spell_count(len(hold.digests), 'image')}, {waits}")):
            continue
        try:
            images += approvals.approve(store, dispatch, hold.repository, plan or hold.plan, by=login_name())
        except NotWaiting as error:
            message = f"the plan for {hold.repository} has changed; `pushprune prune --held` shows the new one"
            raise NotWaiting(message) from error
        repositories += 1
    return ApprovalOfAll(repositories=repositories, approved=images)


def approve_all(store: Store, dispatch: Dispatch, yes: bool) -> ApprovalOfAll:
    """Approve every plan that waits and was not rejected; unless `yes`, the user is asked first."""
    holds = held_plans.undecided(store)
    if not holds:
        raise NotWaiting("no plan waits for approval")
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("not a terminal: add --yes to approve every plan that `pushprune prune --held` shows")
    if not yes:
        for hold in holds:
            line(f"{hold.repository}: {spell_count(len(hold.digests), 'image')}: {hold.reason}")
        images = spell_count(sum(len(hold.digests) for hold in holds), "image")
        click.confirm(f"delete {images} of {spell_count(len(holds), 'repository')}?", abort=True)
    # The user confirmed exactly the plans above: a plan that changed meanwhile must not be approved with them.
    try:
        approved = approvals.approve_all(
            store, dispatch, None if yes else held_plans.joint_name(holds), by=login_name()
        )
    except NotWaiting as error:
        raise NotWaiting("the plans have changed; `pushprune prune --held` shows the new ones") from error
    return ApprovalOfAll(repositories=approved.repositories, approved=approved.images)


def show_approval(approved: ApprovalOfAll, as_document: bool) -> None:
    """Print the number of plans that were approved, and of their images."""
    if as_document:
        show_document(approved)
    else:
        repositories = spell_count(approved.repositories, "repository")
        click.echo(f"approved: {spell_count(approved.approved, 'image')} of {repositories}")


def _agreed(question: str) -> bool:
    line(question)
    return click.confirm("approve?")
