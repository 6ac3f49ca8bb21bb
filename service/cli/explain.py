"""`pushprune explain REPO[:TAG]`: why a tag is kept or deleted, and the earliest time of its deletion."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

import click

from service.answers.verdicts import ExplainedTag
from service.cli.command import examples
from service.cli.connect import connect, connection_options, known_repositories
from service.cli.names import parse_name, refuse_glob
from service.cli.output import WideOnly, line, output_options, show_document, show_names, table, when
from service.cli.registry import registry_option
from service.clock import now_us
from service.domain.errors import NoSuchTag
from service.domain.policy.units import spell_size
from service.domain.retention.conditions import RuleResult
from service.domain.retention.explanation import Explanation
from service.domain.retention.manual import DRY
from service.reports.inventory import Inventory
from service.reports.missing_tag import describe_missing_tag
from service.restore.restore import Restore
from service.settings import Settings


@click.command(
    epilog=examples(
        "pushprune explain shop/api:v7",
        "pushprune explain shop/api",
    ),
)
@click.argument("name", metavar="REPO[:TAG]")
@connection_options
@registry_option
@output_options(lists=True)
def explain(name: str, config: Path | None, data: Path | None, as_document: bool) -> None:
    """Show for a tag, or for each tag of a repository, if it is kept, by which rule, and when it could be deleted."""
    repository, tag = parse_name(name)
    refuse_glob(name, f"`pushprune tags '{name}'` shows the verdict and the reason of each tag")
    wiring = connect(config, data)
    known_repositories(wiring.inventory, [repository])
    explained = wiring.verdicts.explain(repository, (tag,) if tag else None)
    if tag and not explained:
        raise NoSuchTag(_missing_tag(wiring.settings, wiring.inventory, wiring.restore, repository, tag))
    if as_document:
        show_document([ExplainedTag.explained(repository, explanation) for explanation in explained])
        return
    if show_names(explanation.verdict.tag.called(repository) for explanation in explained):
        return
    if tag:
        for sentence in _in_full(repository, explained[0]):
            line(sentence)
    else:
        headings = ("tag", WideOnly("digest"), "verdict", "could be deleted", "reason")
        table(headings, map(_row, explained))
        for sentence in waiting(repository, (explanation.held for explanation in explained)):
            line(sentence)
    if wiring.verdicts.is_dry():
        line(DRY)


def waiting(repository: str, held: Iterable[str | None]) -> Iterator[str]:
    """Yield the lines below a table of tags: one for each reason for which a plan waits for approval."""
    for reason in dict.fromkeys(reason for reason in held if reason):
        yield f"the plan waits for approval: {reason}; approve: pushprune prune --approve {repository}"


def verdict_of(kept: bool, held: str | None) -> str:
    """Return the verdict as a cell of a table."""
    if kept:
        return "kept"
    return "to be deleted once approved" if held else "to be deleted"


def _row(explanation: Explanation) -> tuple[str, ...]:
    verdict, tag = explanation.verdict, explanation.verdict.tag
    status = verdict_of(verdict.kept, explanation.held)
    return (tag.name, tag.digest, status, _earliest_deletion(explanation), verdict.reason)


def _earliest_deletion(explanation: Explanation) -> str:
    if explanation.held:
        return "when its plan is approved"
    if explanation.earliest_deletion_us is None:
        return "not scheduled"
    moment = "now" if explanation.earliest_deletion_us <= now_us() else when(explanation.earliest_deletion_us)
    return f"{moment}, once approved" if explanation.needs_approval else moment


def _in_full(repository: str, explanation: Explanation) -> Iterator[str]:
    verdict, tag = explanation.verdict, explanation.verdict.tag
    yield f"{tag.called(repository)}  {tag.digest}  {spell_size(tag.size_bytes or None)}"
    pushed = f"pushed {when(tag.pushed_us)}" if tag.pushed_us else "push time unknown"
    yield f"{pushed}{' by ' + tag.actor if tag.actor else ''}, {_pulled(tag.pulled_us)}"
    approve = f" (pushprune prune --approve {repository})" if explanation.held else ""
    yield f"{verdict_of(verdict.kept, explanation.held)}{approve}: {verdict.reason}"
    if explanation.held:
        yield f"  the plan waits for approval: {explanation.held}"
    for result in explanation.rule_results:
        yield _decision(result, verdict.reason)
    if explanation.index:
        yield f"  part of the index {explanation.index}"
    for other in explanation.shares:
        yield f"  same digest: {other.tag.name} ({'kept' if other.kept else 'to be deleted'}: {other.reason})"
    yield f"could be deleted: {_earliest_deletion_in_full(explanation)}"


def _decision(result: RuleResult, verdict_reason: str) -> str:
    """Return the line for one rule. The reason is left out if the verdict above already gives it."""
    place = f" (place {result.place}, last: {result.limit})" if result.place else ""
    reason = "" if result.reason == verdict_reason else f": {result.reason.removesuffix(f' (rule {result.rule})')}"
    until = f", until {when(result.until_us)}" if result.until_us else ""
    return f"  rule {result.rule} {'keeps it' if result.keep else 'does not keep it'}{reason}{place}{until}"


def _earliest_deletion_in_full(explanation: Explanation) -> str:
    if explanation.held:
        return _earliest_deletion(explanation)
    moment = _earliest_deletion(explanation)
    if explanation.earliest_deletion_us is None:
        return f"{moment} (needs {explanation.only_after})"
    if explanation.verdict.kept and explanation.verdict.tag.pushed_us is None:
        return f"{moment}, as soon as its creation date is read"
    return moment if explanation.earliest_deletion_us <= now_us() else f"{moment}, if nothing more is pushed or pulled"


def _pulled(at_us: int | None) -> str:
    return f"pulled {when(at_us)}" if at_us else "never pulled, as far as is known"


def _missing_tag(settings: Settings, inventory: Inventory, restore: Restore, repository: str, tag: str) -> str:
    """Return the sentence on a tag that does not exist: its deletion, or similar tags."""
    deleted, entries = restore.deleted(repository), settings.history.repository_entries
    if sentence := describe_missing_tag(inventory, deleted, repository, tag, entries, when):
        return sentence
    near = get_close_matches(tag, inventory.tag_names(repository), cutoff=0.5)
    similar = f"; similar tags: {', '.join(near)}" if near else f"; `pushprune tags {repository}` lists its tags"
    return f"{repository}:{tag}: no tag of that name is known{similar}"
