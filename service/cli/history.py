"""`pushprune history REPO[:TAG]`: the recorded events; or the digests that a tag pointed at, with times."""

from collections.abc import Sequence
from heapq import nlargest
from pathlib import Path

import click

from service.answers.history import RecordedEvent, TagHistory, TagInterval
from service.cli.command import examples
from service.cli.connect import connect, connection_options, matching_repositories
from service.cli.names import UnclearName, parse_listed
from service.cli.output import WideOnly, line, output_options, short_digest, show_document, show_names, table, when
from service.cli.registry import registry_option
from service.domain.errors import unknown_tag
from service.domain.history.entry import Entry
from service.domain.history.interval import Interval
from service.domain.policy.patterns import compile_patterns
from service.domain.retention.selector import is_glob
from service.reports.activity import ACTIONS
from service.reports.inventory import Inventory


@click.command(
    epilog=examples(
        "pushprune history shop/api",
        "pushprune history shop/api:v7 --intervals",
        "pushprune history 'shop/*:v1.*' --limit 10",
    ),
)
@click.argument("name", metavar="REPO[:TAG]")
@connection_options
@registry_option
@click.option(
    "--limit",
    metavar="N",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    help="Show the newest N entries only.",
)
@click.option(
    "--intervals", "standing", is_flag=True, help="Show the digests that TAG pointed at, with times and reasons."
)
@output_options(lists=True)
def history(
    name: str, config: Path | None, data: Path | None, limit: int, standing: bool, as_document: bool
) -> None:  # fmt: skip
    """Show the newest entries of a repository's history, or of one tag's, newest first. REPO and TAG may be globs."""
    repository, tag = parse_listed(name)
    if standing and (not tag or is_glob(name)):
        raise UnclearName("--intervals is about one tag: write REPO:TAG, such as shop/api:v1")
    wiring = connect(config, data, [repository])
    names = matching_repositories(wiring.inventory, (repository,))
    if standing:
        _show_intervals(repository, tag, wiring.inventory.intervals(repository, tag), as_document)
        return
    entries, dropped = _entries(wiring.inventory, names, tag, limit)
    if tag and not entries:
        raise unknown_tag(name, repository)
    if as_document:
        show_document([RecordedEvent.model_validate(entry) for entry in entries])
        return
    if show_names(f"{entry.repository}:{entry.tag}" for entry in entries if entry.tag):
        return
    is_single = len(names) == 1
    rows = [
        (when(e.at_us), ACTIONS.get(e.action, e.action), e.tag if is_single else f"{e.repository}:{e.tag}",
         e.digest, e.actor, e.useragent, e.address, e.reason)
        for e in entries
    ]  # fmt: skip
    headings = ("when", "event", "tag", WideOnly("digest"), "by", WideOnly("with"), WideOnly("from"), "reason")
    table(headings, rows)
    if dropped:
        line(dropped)


def _entries(inventory: Inventory, names: tuple[str, ...], tag: str, limit: int) -> tuple[Sequence[Entry], str]:
    """Return the newest entries of all these repositories together, ordered by the time of their arrival.

    Returns:
        The entries; and of one repository, why older ones are missing, if not because of the limit.
    """
    matches = compile_patterns((tag,)) if is_glob(tag) else lambda candidate: tag in ("", candidate)
    if len(names) == 1:
        page = inventory.entries(names[0], lambda entry: matches(entry.tag), limit=limit)
        return page.entries, page.dropped
    chosen = frozenset(names)
    newest = inventory.entries(None, lambda entry: entry.repository in chosen and matches(entry.tag), limit=limit)
    if len(newest.entries) == limit:
        return newest.entries, ""
    # Older ones are only in the history of each repository, which takes a request each.
    every = (
        entry
        for name in names
        for entry in inventory.entries(name, lambda entry: matches(entry.tag), limit=limit).entries
    )
    return nlargest(limit, every, key=_arrival), ""


def _arrival(entry: Entry) -> tuple[int, int]:
    ms, _, nth = entry.id.partition("-")
    return int(ms), int(nth)


def _show_intervals(repository: str, tag: str, intervals: tuple[Interval, ...], as_document: bool) -> None:
    if as_document:
        history = tuple(map(TagInterval.model_validate, intervals))
        show_document(TagHistory(repository=repository, tag=tag, history=history))
        return
    rows = (
        (
            when(interval.from_us),
            when(interval.to_us) if interval.ended else "now",
            short_digest(interval.digest),
            interval.by,
            interval.ended,
        )
        for interval in intervals
    )
    table(("from", "to", "digest", "by", "reason"), rows)
    if not intervals:
        line(f"no history of {repository}:{tag} is recorded")
