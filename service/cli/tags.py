"""`pushprune tags REPO[:TAG]`: the tags of repositories, each with its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from service.answers.verdicts import VerdictAnswer
from service.cli.command import examples
from service.cli.connect import connect, connection_options, matching_repositories
from service.cli.explain import verdict_of, waiting
from service.cli.names import parse_listed
from service.cli.output import (
    WideOnly,
    limit_option,
    line,
    note_limit,
    output_options,
    show_document,
    show_names,
    table,
    when,
)
from service.cli.registry import connect_v1, registry_option, v1_option
from service.cli.v1 import show_v1_tags
from service.domain.errors import unknown_tag
from service.domain.policy.units import spell_size
from service.domain.retention.manual import DRY
from service.domain.retention.selector import TagSelector
from service.reports.inventory import Inventory
from service.reports.platforms import Platforms
from service.reports.tag_listing import TagOrder, TagStatus, TagVerdict

# Imported for its name only: a verb with --registry needs none of it before its first request.
if TYPE_CHECKING:
    from service.wiring import Wiring

PlatformsByImage = Mapping[tuple[str, str], Sequence[str]]  # by repository and digest


@click.command(
    epilog=examples(
        "pushprune tags shop/api",
        "pushprune tags 'shop/*:v1.*' -o wide",
        "pushprune tags shop/api --sort expires --status delete",
        "pushprune tags shop/api --registry http://127.0.0.1:5000 --platforms",
    ),
)
@click.argument("name", metavar="REPO[:TAG]")
@connection_options
@registry_option
@v1_option
@click.option("--platforms", "with_platforms", is_flag=True, help="Show the platforms of each tag; asks the registry.")
@click.option(
    "--sort",
    metavar="FIELD",
    default="-pushed",
    show_default=True,
    type=click.Choice(get_args(TagOrder)),
    help="name, pushed, pulled, size, status or expires (next deletion first); -FIELD: descending.",
)
@click.option(
    "--status",
    metavar="STATUS",
    type=click.Choice(get_args(TagStatus)),
    help="Only tags with this status: keep, delete, held (to be deleted once approved) or signed.",
)
@output_options(lists=True)
@limit_option
def tags(
    name: str, config: Path | None, data: Path | None, with_platforms: bool, sort: TagOrder, status: TagStatus | None,
    limit: int | None, as_document: bool,
) -> None:  # fmt: skip
    """List the tags of REPO, each with its verdict and the reason. REPO and TAG may be globs."""
    repository, tag = parse_listed(name)
    old = connect_v1(config)
    if old:
        show_v1_tags(old, repository, tag, as_document)
        return
    wiring = connect(config, data, [repository])
    names = matching_repositories(wiring.inventory, (repository,))
    # Of many repositories, each is read when its rows are printed.
    rows = (row for repository in names for row in _listed(wiring.inventory, repository, tag, sort, status))
    first = tuple(islice(rows, 1))
    if tag and not first and not status:
        raise unknown_tag(name, repository)
    every = chain(first, rows)
    _print(wiring, islice(every, limit), as_document, with_platforms=with_platforms, one_repository=len(names) == 1)
    if limit and (more := sum(1 for _ in every)):
        note_limit(limit, limit + more)


def _print(
    wiring: Wiring, listed: Iterable[TagVerdict], as_document: bool, *, with_platforms: bool, one_repository: bool
) -> None:  # fmt: skip
    """Print these tags in the format that the user chose, and why plans of their repositories wait."""
    platforms: PlatformsByImage | None = None
    if with_platforms:
        listed = tuple(listed)
        platforms = _platforms(wiring.platforms, listed)
    if as_document:
        show_document([_answer(row, platforms) for row in listed])
        return
    if show_names(row.verdict.tag.called(row.repository) for row in listed):
        return
    held: dict[tuple[str, str], None] = {}
    _show(_noting(held, listed), platforms, one_repository=one_repository)
    for repository, reason in held:
        for sentence in waiting(repository, (reason,)):
            line(sentence)
    if wiring.verdicts.is_dry():
        line(DRY)


def _noting(held: dict[tuple[str, str], None], rows: Iterable[TagVerdict]) -> Iterator[TagVerdict]:
    """Yield the rows, and note each reason for which the plan of a repository waits, once."""
    for row in rows:
        if row.held:
            held[row.repository, row.held] = None
        yield row


def _listed(
    inventory: Inventory, repository: str, tag: str, sort: TagOrder, status: TagStatus | None
) -> Iterable[TagVerdict]:
    """Return the tags that match. A glob never matches signatures and other referrers; "" matches every tag."""
    rows = inventory.listing(repository).page(lambda _: True, sort, status=status).rows
    if not tag:
        return rows
    names = TagSelector(repository, tag).tags({row.verdict.tag.name for row in rows})
    return (row for row in rows if row.verdict.tag.name in names)


def _platforms(platforms: Platforms, listed: Iterable[TagVerdict]) -> PlatformsByImage:
    digests: dict[str, list[str]] = {}
    for row in listed:
        digests.setdefault(row.repository, []).append(row.verdict.tag.digest)
    return {
        (repository, digest): names
        for repository, wanted in digests.items()
        for digest, names in platforms.of(repository, wanted).items()
    }


def _show(listed: Iterable[TagVerdict], platforms: PlatformsByImage | None, *, one_repository: bool) -> None:
    headings = ["tag", WideOnly("digest"), "size", "pushed", "by", WideOnly("pulled"), "verdict", "reason"]
    if platforms is not None:
        headings.insert(2, "platforms")
    table(headings, _rows(listed, platforms, one_repository=one_repository))


def _rows(
    listed: Iterable[TagVerdict], platforms: PlatformsByImage | None, *, one_repository: bool
) -> Iterator[list[str]]:  # fmt: skip
    for entry in listed:
        verdict, tag = entry.verdict, entry.verdict.tag
        row = [
            tag.name if one_repository else tag.called(entry.repository), tag.digest,
            spell_size(tag.size_bytes or None), when(tag.pushed_us), tag.actor,
            when(tag.pulled_us) if tag.pulled_us else "",
            verdict_of(verdict.kept, entry.held), verdict.reason + _until(entry),
        ]  # fmt: skip
        if platforms is not None:
            row.insert(2, ", ".join(platforms.get((entry.repository, tag.digest), ())))
        yield row


def _until(row: TagVerdict) -> str:
    until_us = row.verdict.until_us if row.verdict.kept else None
    return f", until {when(until_us)}" if until_us else ""


def _answer(row: TagVerdict, platforms: PlatformsByImage | None) -> VerdictAnswer:
    known = None if platforms is None else platforms.get((row.repository, row.verdict.tag.digest), ())
    return VerdictAnswer.of(row.repository, row.verdict, row.held, platforms=known)
