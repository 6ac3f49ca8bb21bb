"""`pushprune history REPO[:TAG]`: the recorded events; or the digests that a tag pointed at, with times."""

from pathlib import Path

import click

from service.answers.history import RecordedEvent, TagHistory, TagInterval
from service.cli.connect import connect, connection_options, matching_repositories, show_json
from service.cli.names import UnclearName, parse_listed
from service.cli.output import line, short_digest, table, when
from service.domain.history.entry import Entry
from service.domain.history.interval import Interval
from service.domain.policy.patterns import compile_patterns
from service.domain.retention.selector import is_glob
from service.reports.inventory import Inventory


@click.command()
@click.argument("name", metavar="REPO[:TAG]")
@connection_options
@click.option("--count", default=50, show_default=True, type=click.IntRange(min=1), help="The number of entries.")
@click.option(
    "--intervals", "standing", is_flag=True, help="Show the digests that TAG pointed at, with times and reasons."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(
    name: str, config: Path | None, data: Path | None, count: int, standing: bool, as_json: bool
) -> None:  # fmt: skip
    """Show the newest entries of a repository's history, or of one tag's, newest first. REPO and TAG may be globs."""
    repository, tag = parse_listed(name)
    if standing and (not tag or is_glob(name)):
        raise UnclearName("--intervals is about one tag: write REPO:TAG, such as shop/api:v1")
    wiring = connect(config, data, [repository])
    names = matching_repositories(wiring.inventory, (repository,))
    if standing:
        _show_intervals(repository, tag, wiring.inventory.intervals(repository, tag), as_json)
        return
    entries = _entries(wiring.inventory, names, tag, count)
    if as_json:
        show_json([RecordedEvent.model_validate(entry) for entry in entries])
        return
    is_single = len(names) == 1
    rows = [
        (when(e.at_us), e.action, e.tag if is_single else f"{e.repository}:{e.tag}", short_digest(e.digest), e.actor,
         e.useragent, e.reason)
        for e in entries
    ]  # fmt: skip
    table(("when", "event", "tag", "digest", "by", "with", "reason"), rows)


def _entries(inventory: Inventory, names: tuple[str, ...], tag: str, count: int) -> list[Entry]:
    """Return the newest entries of all these repositories together, ordered by the time of their arrival."""
    matches = compile_patterns((tag,)) if is_glob(tag) else lambda candidate: tag in ("", candidate)
    entries = [
        entry
        for name in names
        for entry in inventory.entries(name, lambda entry: matches(entry.tag), limit=count).entries
    ]
    return sorted(entries, key=_arrival, reverse=True)[:count]


def _arrival(entry: Entry) -> tuple[int, int]:
    ms, _, nth = entry.id.partition("-")
    return int(ms), int(nth)


def _show_intervals(repository: str, tag: str, intervals: tuple[Interval, ...], as_json: bool) -> None:
    if as_json:
        history = tuple(map(TagInterval.model_validate, intervals))
        show_json(TagHistory(repository=repository, tag=tag, history=history))
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
