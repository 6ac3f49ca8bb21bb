"""`pushprune prune`: show what would be deleted, approve a plan that waits, or plan repositories now."""

from collections.abc import Sequence
from pathlib import Path

import click

from service.answers.repositories import Holds
from service.answers.verdicts import Previews
from service.cli.approval import approve as approve_held
from service.cli.approval import approve_all as approve_every_held
from service.cli.command import examples
from service.cli.connect import (
    connect,
    connection_options,
    known_repositories,
    matching_repositories,
    need_policy,
)
from service.cli.names import parse_repositories
from service.cli.output import line, output_options, short_digest, show_document, show_names, table, when
from service.cli.policy_file import load_policy_file
from service.cli.prune_one_off import OneOffPrune, policy_for_one_off, unknown_ages
from service.cli.registry import asked_registry, registry_option, trash_option
from service.dispatch import Dispatch
from service.domain.policy.model import Policy
from service.domain.policy.units import spell_size
from service.domain.retention.freed import Freed, freed_together
from service.domain.retention.manual import DRY
from service.domain.retention.plan import Verdict
from service.domain.retention.preview import Preview, totals
from service.prune import approvals
from service.prune.approvals import Waiting
from service.reports.verdicts import Verdicts
from service.store import Store


@click.command(
    epilog=examples(
        "pushprune prune --dry-run",
        "pushprune prune --held",
        "pushprune prune --approve shop/api",
        "pushprune prune --registry http://127.0.0.1:5000 --keep-last 10 --dry-run",
    ),
)
@click.argument("repositories", nargs=-1, metavar="[REPO]...")
@connection_options
@registry_option
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted, and why.")
@click.option(
    "--policy", "policy_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="With --dry-run or --registry: by the policy in FILE instead of the one in force.",
)  # fmt: skip
@click.option("--keep-last", metavar="N", type=click.IntRange(min=1), help="With --registry: keep the last N of each.")
@click.option(
    "--order", type=click.Choice(("pushed", "created", "semver", "name")),
    help="With --keep-last: the order that N counts by [pushed; or created, if the push was not seen].",
)  # fmt: skip
@trash_option
@click.option("--held", is_flag=True, help="Show the plans that wait for approval.")
@click.option("--approve", is_flag=True, help="Approve the waiting plan of each REPO named.")
@click.option("--approve-all", is_flag=True, help="Approve every plan that waits and was not rejected.")
@click.option("--plan", metavar="NAME", help="With --approve: this plan and no other, as --held names it.")
@click.option("--yes", is_flag=True, help="Do not ask: with --approve, --approve-all or --registry.")
@output_options(lists=True)
def prune(
    repositories: tuple[str, ...], config: Path | None, data: Path | None, dry_run: bool, policy_file: Path | None,
    keep_last: int | None, order: str | None, trash: Path | None, held: bool, approve: bool, approve_all: bool,
    plan: str | None, yes: bool, as_document: bool,
) -> None:  # fmt: skip
    """Plan each REPO (all, when none is named; or globs) and delete what its policy does not keep."""
    repositories = tuple(map(parse_repositories, repositories))
    if dry_run + held + approve + approve_all > 1:
        raise click.UsageError("give one of --dry-run, --held, --approve and --approve-all")
    if url := asked_registry():
        if held or approve or approve_all or plan:
            raise click.UsageError("with --registry no plan waits: leave --held, --approve… and --plan out")
        policy = policy_for_one_off(keep_last, order, policy_file, config)
        OneOffPrune(
            url, repositories, config, policy, trash, dry_run=dry_run, yes=yes, as_document=as_document,
            show=_show_previews,
        ).run()  # fmt: skip
        return
    if keep_last or order or trash:
        option = "--keep-last" if keep_last else "--order" if order else "--trash"
        raise click.UsageError(f"{option} belongs to --registry; what a service does is set in its configuration")
    if policy_file and not dry_run:
        raise click.UsageError("--policy needs --dry-run; the policy in force is set in the configuration")
    _check_approval(repositories, approve, approve_all, plan, yes)
    wiring = connect(config, data)
    if approve_all:
        approve_every_held(wiring.store, wiring.dispatch, yes)
        return
    names = (known_repositories if approve else matching_repositories)(
        wiring.inventory, repositories
    ) or wiring.inventory.names()
    if held:
        _show_held(wiring.store, names, as_document)
    elif dry_run:
        policy = load_policy_file(policy_file) if policy_file else need_policy(wiring.policies)
        _show_previews(wiring.verdicts.preview(names, policy), policy, as_document)
    elif approve:
        approve_held(wiring.store, wiring.dispatch, names, plan, yes)
    else:
        _plan_now(wiring.store, wiring.dispatch, wiring.verdicts, names)


def _check_approval(repositories: Sequence[str], approve: bool, approve_all: bool, plan: str | None, yes: bool) -> None:
    if approve and not repositories:
        raise click.UsageError("name the repositories whose plan you approve, or give --approve-all")
    if approve_all and repositories:
        raise click.UsageError("--approve-all approves every plan that waits: name no repository, or use --approve")
    if plan and not approve:
        raise click.UsageError("--plan belongs to --approve")
    if yes and not (approve or approve_all):
        raise click.UsageError("--yes belongs to --approve and --approve-all")
    if plan and len(repositories) > 1:
        raise click.UsageError("--plan names the plan of one repository: name one with --approve")


def _plan_now(store: Store, dispatch: Dispatch, verdicts: Verdicts, names: Sequence[str]) -> None:
    approvals.plan_now(store, dispatch, names)
    click.echo(f"planned now: {', '.join(names) or 'nothing'}")
    for plan in approvals.waiting(store, names):
        hold = plan.hold
        line(f"{hold.repository}: nothing is deleted: the plan waits for approval: {hold.reason}")
        line(_next_steps(hold.repository, hold.plan))
    if verdicts.is_dry():
        line(DRY)


def _show_held(store: Store, names: Sequence[str], as_document: bool) -> None:
    plans = approvals.waiting(store, names)
    if as_document:
        show_document(Holds.of(plans))
        return
    if show_names(plan.hold.repository for plan in plans):
        return
    if not plans:
        click.echo("no plan waits for approval")
        return
    rows = (
        (plan.hold.repository, when(plan.hold.at_us), str(len(plan.hold.digests)), plan.hold.plan, _why(plan))
        for plan in plans
    )
    table(("repository", "since", "images", "plan", "why it waits"), rows)
    holds = [plan.hold for plan in plans]
    if len(holds) > 1:
        line("review: pushprune prune --dry-run; approve all: pushprune prune --approve-all")
    line(_next_steps(*(holds[0].repository, holds[0].plan) if len(holds) == 1 else ("REPO", "PLAN")))


def _why(plan: Waiting) -> str:
    return f"refused by {plan.rejection.by}: {plan.hold.reason}" if plan.rejection else plan.hold.reason


def _next_steps(repository: str, plan: str) -> str:
    approve = f"pushprune prune --approve {repository} --plan {plan}"
    return f"review: pushprune prune --dry-run {repository}; approve: {approve}"


def _show_previews(previews: Sequence[Preview], policy: Policy, as_document: bool) -> None:
    if as_document:
        show_document(Previews.of(previews, dry_run=policy.dry_run))
        return
    deletions = [(preview.repository, verdict) for preview in previews for verdict in preview.deletions]
    if show_names(verdict.tag.called(repository) for repository, verdict in deletions):
        return
    uncertain = [(preview.repository, verdict) for preview in previews for verdict in preview.of_unknown_age]
    if uncertain:
        rows = ((name, v.tag.name, short_digest(v.tag.digest), v.reason) for name, v in uncertain)
        table(("repository", "tag", "digest", "kept because its age is unknown"), rows)
        line(unknown_ages(previews))
        click.echo()
    if deletions:
        _show_deletions(previews, deletions)
    else:
        click.echo("nothing would be deleted")
    if policy.dry_run:
        line(DRY)


def _show_deletions(previews: Sequence[Preview], deletions: Sequence[tuple[str, Verdict]]) -> None:
    rows = ((name, v.tag.name or "(no tag)", short_digest(v.tag.digest), v.reason) for name, v in deletions)
    table(("repository", "tag", "digest", "reason"), rows)
    click.echo()
    rules = ((rule.name, str(rule.tags), str(rule.digests), rule.size) for rule in totals(previews))
    table(("rule", "tags", "images", "up to"), rules)
    deleting_from = [preview for preview in previews if preview.deletions]
    where = "this repository" if len(deleting_from) == 1 else "its repository"
    freed = _freed(freed_together(preview.freed for preview in deleting_from), where)
    click.echo(f"up to: layers that images share are counted for each; {freed}")
    for preview in previews:
        if preview.hold:
            line(f"{preview.repository}: the plan would wait for approval: {preview.hold}")
        if preview.unclear:
            line(f"{preview.repository}: {len(preview.unclear)} manifests must be read first; the plan may change")


def _freed(freed: Freed, where: str) -> str:
    if freed.is_unknown:
        return f"how much of it nothing else in {where} uses is not known"
    most = "at most " if freed.at_most else ""
    images = "1 image" if freed.unknown == 1 else f"{freed.unknown} images"
    besides = f", besides {images} of unknown layers" if freed.unknown else ""
    return f"a collection then frees {most}{spell_size(freed.size_bytes)} that nothing else in {where} uses{besides}"
