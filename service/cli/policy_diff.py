"""`pushprune policy diff FILE`: what a policy would delete that is kept today, before it is in force."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from service.answers.policy import PolicyEffect
from service.cli.command import examples
from service.cli.connect import connect, connection_options, matching_repositories
from service.cli.names import parse_repositories
from service.cli.output import line, output_options, show_document, show_names, table, tracked
from service.cli.policy_file import load_policy_file
from service.domain.policy.model import Policy
from service.domain.policy.units import spell_count
from service.domain.retention.total import Total, added
from service.reports.policy_difference import PolicyDifference, policy_difference
from service.reports.verdicts import Verdicts

_DELETES_MORE = 3
_TAGS = 20


@click.command(
    epilog=examples(
        "pushprune policy diff stricter.yaml",
        "pushprune policy diff stricter.yaml 'shop/*' -o name",
        "pushprune policy diff stricter.yaml --exit-code",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("repositories", nargs=-1, metavar="[REPO]...")
@connection_options
@click.option("--exit-code", is_flag=True, help="Exit with 3 if FILE would delete a tag or image that is kept today.")
@output_options(lists=True)
def diff(
    file: Path, repositories: tuple[str, ...], config: Path | None, data: Path | None, exit_code: bool,
    as_document: bool,
) -> int:  # fmt: skip
    """Show what the policy in FILE would delete that is kept today. Nothing is changed.

    Compares with the policy in force, in each REPO (all if none is named; or globs).
    """
    tried = load_policy_file(file)
    wiring = connect(config, data)
    wanted = matching_repositories(wiring.inventory, map(parse_repositories, repositories))
    differences = compared(wiring.verdicts, wanted or wiring.inventory.names(), tried)
    if as_document:
        show_document(PolicyEffect.of(differences))
    elif not show_names(v.tag.called(each.repository) for each in differences for v in each.gone):
        show_effect(differences, tried)
    return _DELETES_MORE if exit_code and any(each.gone for each in differences) else 0


def compared(verdicts: Verdicts, names: Sequence[str], tried: Policy) -> list[PolicyDifference]:
    """Return the repositories in which the policies differ. A terminal shows the progress."""
    differences = (policy_difference(verdicts, name, tried) for name in tracked(names, "comparing"))
    return [each for each in differences if each.gone or each.spared]


def show_effect(differences: Sequence[PolicyDifference], tried: Policy) -> None:
    """Print the effect of a policy: a line for each repository, the tags, and the totals."""
    if not differences:
        click.echo("no difference: this policy deletes what the policy in force deletes")
        return
    ordered = sorted(differences, key=lambda each: (-each.lost.size_bytes, -each.lost.tags, each.repository))
    headings = ("repository", "tags deleted", "images", "size", "tags kept again")
    table(headings, (_row(each) for each in ordered))
    gone = [(each.repository, verdict) for each in ordered for verdict in each.gone]
    if gone:
        click.echo()
        rows = ((verdict.tag.called(repository), verdict.reason) for repository, verdict in gone[:_TAGS])
        table(("would be deleted", "reason"), rows)
        if len(gone) > _TAGS:
            line(f"and {len(gone) - _TAGS} more (-o name lists them all)")
    click.echo()
    lost, saved = added("", (each.lost for each in differences)), added("", (each.saved for each in differences))
    line(f"kept today, deleted by this policy: {_spelled(lost)}")
    line(f"deleted today, kept by this policy: {_spelled(saved)}")
    for sentence in _waits(ordered, tried):
        line(sentence)


def _row(each: PolicyDifference) -> tuple[str, ...]:
    lost = each.lost
    return (each.repository, str(lost.tags), str(lost.digests), lost.size, str(each.saved.tags))


def _spelled(total: Total) -> str:
    return f"{spell_count(total.tags, 'tag')}, {spell_count(total.digests, 'image')}, {total.size}"


def _waits(differences: Iterable[PolicyDifference], tried: Policy) -> Iterable[str]:
    if tried.dry_run:
        yield "this policy has dry_run: nothing is deleted"
    for each in differences:
        if each.gone and each.tried.hold:
            yield f"{each.repository}: the plan would wait for approval: {each.tried.hold}"
