"""`pushprune prune`: look at what would go, approve a plan that waits, or have repositories planned now."""

from collections.abc import Sequence
from pathlib import Path

import click

from service.cli.reach import known, need_policy, reach, reaching, show_json
from service.cli.show import short_digest, table
from service.domain.errors import PushpruneError
from service.wiring import Wiring


class NothingHeld(PushpruneError):
    """No plan waits for approval."""


@click.command()
@click.argument("repositories", nargs=-1, metavar="[REPO]...")
@reaching
@click.option("--dry-run", is_flag=True, help="Only show what would go, and why.")
@click.option("--held", is_flag=True, help="Show the plans that wait for approval.")
@click.option("--approve", is_flag=True, help="Approve the waiting plan of each REPO named.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(
    repositories: tuple[str, ...], config: Path | None, data: Path | None, dry_run: bool, held: bool, approve: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Plan each REPO (all, when none is named) and delete what its policy does not keep."""
    wiring = reach(config, data)
    names = known(wiring, repositories) or wiring.history.repositories()
    if dry_run + held + approve > 1:
        raise click.UsageError("one of --dry-run, --held and --approve at a time")
    if held:
        waiting = [(name, reason) for name in names if (reason := wiring.history.held(name))]
        _show(as_json, ("repository", "why it waits"), waiting)
    elif dry_run:
        need_policy(wiring)
        _show(as_json, ("repository", "tag", "digest", "why it would go"), _would_go(wiring, names))
    elif approve and not repositories:
        raise click.UsageError("name the repositories whose plan you approve")
    else:
        approved = sum(wiring.history.approve(name) for name in names) if approve else 0
        if approve and not approved:
            raise NothingHeld("nothing waits for approval there; `pushprune prune --held` shows what does")
        for name in wiring.outbox.mark_due(names):
            wiring.dispatch.enforce(name)
        click.echo(f"approved: {approved} images" if approve else f"planned now: {', '.join(names) or 'nothing'}")


def _would_go(wiring: Wiring, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [
        (name, verdict.tag.name, short_digest(verdict.tag.digest), verdict.reason)
        for name in names
        for verdict in wiring.outlook.verdicts(name)
        if not verdict.kept
    ]


def _show(as_json: bool, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if as_json:
        show_json([dict(zip(headings, row, strict=True)) for row in rows])
    else:
        table(headings, rows)
