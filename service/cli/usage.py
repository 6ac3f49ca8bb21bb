"""`pushprune usage`: the storage that images use."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from service.answers.usage import StorageUsage
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.output import line, output_options, show_document, table
from service.domain.policy.units import spell_change, spell_count, spell_size
from service.domain.usage import Usage
from service.reports.usage import usage_records

_DAY_MS = 86_400_000


@click.command(
    epilog=examples(
        "pushprune usage",
        "pushprune usage --days 7",
        "pushprune usage -o json",
    ),
)
@connection_options
@click.option(
    "--days",
    metavar="DAYS",
    default=30,
    show_default=True,
    type=click.IntRange(1, 400),
    help="The period of the change.",
)
@output_options()
def usage(config: Path | None, data: Path | None, days: int, as_document: bool) -> None:
    """Show the storage that images use, by the first part of repository names, and its change.

    Each config and layer counts once. "(shared)": configs and layers that several prefixes use.
    """
    records = usage_records(connect(config, data).store, days * _DAY_MS)
    if as_document:
        show_document(StorageUsage.of(records))
        return
    if not records:
        line("not measured yet: a worker measures the storage within seconds of its start")
        return
    table(("prefix", "size", f"change in {days}d"), _rows(records))
    if unknown := records[-1].unknown:
        line(f"at least: the size of {spell_count(unknown, 'tag')} is not known")


def _rows(records: Sequence[Usage]) -> Iterator[tuple[str, str, str]]:
    first, last = records[0], records[-1]
    bands = sorted(last.bands.items(), key=lambda band: -band[1])
    for name, size in [*((name, size) for name, size in bands if size), ("total", last.size_bytes)]:
        before = first.size_bytes if name == "total" else first.bands.get(name, 0)
        yield name, spell_size(size), spell_change(size - before) if len(records) > 1 else ""
