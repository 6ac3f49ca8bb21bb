"""`pushprune prune`: show what would be deleted, approve a plan that waits, or plan repositories now."""

from collections.abc import Sequence
from pathlib import Path

import click

from service.cli.command import examples
from service.cli.connect import connect, connection_options, known_repositories, matching_repositories
from service.cli.names import parse_repositories
from service.cli.output import output_options
from service.cli.registry import asked_registry, registry_option, trash_option


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
@click.option(
    "--keep-last", metavar="N", type=click.IntRange(min=1), help="With --registry: keep the last N images of each REPO."
)
@click.option(
    "--order", metavar="ORDER", type=click.Choice(("pushed", "created", "semver", "name")),
    help="With --keep-last: N counts by created, semver, name or pushed [pushed; created if no push was recorded].",
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
    """Plan each REPO (all if none is named; or globs) and delete what the policy does not keep."""
    repositories = tuple(map(parse_repositories, repositories))
    if dry_run + held + approve + approve_all > 1:
        raise click.UsageError("give only one of --dry-run, --held, --approve and --approve-all")
    if url := asked_registry():
        if held or approve or approve_all or plan:
            raise click.UsageError("with --registry no plan waits: leave --held, --approve… and --plan out")
        # Imported here, as below: the other ways to run this verb need much that this one does not.
        from service.cli.prune_one_off import OneOffPrune, policy_for_one_off

        policy = policy_for_one_off(keep_last, order, policy_file, config)
        OneOffPrune(
            url, repositories, config, policy, trash, dry_run=dry_run, yes=yes, as_document=as_document
        ).run()  # fmt: skip
        return
    if keep_last or order or trash:
        option = "--keep-last" if keep_last else "--order" if order else "--trash"
        raise click.UsageError(f"{option} needs --registry; a running service applies the policy of its configuration")
    if policy_file and not dry_run:
        raise click.UsageError("--policy needs --dry-run; the policy in force is set in the configuration")
    _check_approval(repositories, approve, approve_all, plan, yes)
    from service.cli import approval, plans
    from service.cli.policy_file import load_policy_file
    from service.cli.previews import show_previews
    from service.domain.policy.model import Policy

    wiring = connect(config, data)
    if approve_all:
        approval.show_approval(approval.approve_all(wiring.store, wiring.dispatch, yes), as_document)
        return
    names = (known_repositories if approve else matching_repositories)(
        wiring.inventory, repositories
    ) or wiring.inventory.names()
    if held:
        plans.show_held(wiring.store, names, as_document)
    elif dry_run:
        policy = load_policy_file(policy_file) if policy_file else wiring.policies.current() or Policy()
        show_previews(wiring.verdicts.preview(names, policy), policy, as_document)
    elif approve:
        approved = approval.approve(wiring.store, wiring.dispatch, names, plan, yes)
        approval.show_approval(approved, as_document)
    else:
        plans.plan_now(wiring.store, wiring.dispatch, wiring.verdicts, names, as_document)


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
