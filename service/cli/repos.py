"""`pushprune repos [NAME…]`: the known repositories."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from service.answers.repositories import Repository
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.names import UnclearName
from service.cli.output import limit_option, line, note_limit, output_options, show_document, show_names, table, when
from service.cli.registry import asked_registry, registry_option
from service.domain.policy.units import spell_change, spell_size
from service.domain.retention.selector import every_name, search_matcher
from service.reports.repository_listing import ListedRepository, RepositoryOrder, RepositoryStatus

_EVERYTHING = 10_000_000
_NO_TAGS = "the registry lists no repository with a tag"
_NONE = "no repository is known yet: push an image, or compare with the registry: `pushprune reconcile`"


@click.command(
    epilog=examples(
        "pushprune repos",
        "pushprune repos 'shop/*' --sort -pushed",
        "pushprune repos --sort -size",
        "pushprune repos --sort expires --limit 5",
        "pushprune repos -o name",
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME|GLOB...]")
@connection_options
@registry_option
@click.option(
    "--sort",
    metavar="FIELD",
    default="name",
    show_default=True,
    type=click.Choice(get_args(RepositoryOrder)),
    help="name, pushed, tags, size, doomed (tags to delete) or expires (next deletion first); -FIELD: descending.",
)
@click.option(
    "--status",
    metavar="STATUS",
    type=click.Choice(get_args(RepositoryStatus)),
    help="delete: only with images to be deleted next. held: only with a plan that waits for approval.",
)
@output_options(lists=True)
@limit_option
def repos(
    names: tuple[str, ...], config: Path | None, data: Path | None, sort: RepositoryOrder,
    status: RepositoryStatus | None, limit: int | None, as_document: bool,
) -> None:  # fmt: skip
    """List the repositories with the number of their tags, their size, its change within 7 days, and their last push.

    NAME matches a part of the name; a glob matches the whole name.
    """
    try:
        matchers = [search_matcher(name) for name in names]
    except ValueError as error:
        raise UnclearName(str(error)) from error
    wiring = connect(config, data)
    matches = (lambda name: any(matches(name) for matches in matchers)) if matchers else every_name
    total, listed = wiring.inventory.repositories.rows(matches, sort, limit or _EVERYTHING, status)
    note_limit(limit, total)
    if as_document:
        show_document([Repository.model_validate(row) for row in listed])
        return
    if show_names(row.repository for row in listed):
        return
    if not total:
        line("no repository matches" if names or status else _NO_TAGS if asked_registry() else _NONE)
        return
    rows = (
        (
            row.repository, str(row.tags), _size(row), spell_change(row.growth_bytes), when(row.pushed_us),
            str(row.doomed or ""), _next(row),
            "; ".join(_remarks(row)),
        )
        for row in listed
    )  # fmt: skip
    table(("repository", "tags", "size", "change in 7d", "last push", "to delete", "next deletion", ""), rows)


def _size(row: ListedRepository) -> str:
    """Return the size; known in part, with a sign that it is larger."""
    return f"{'>' if row.size_bytes and row.unsized else ''}{spell_size(row.size_bytes)}"


def _next(row: ListedRepository) -> str:
    """Return the time of the next deletion; a repository that is planned at once has a time in the past."""
    if row.held:
        return "after approval"
    if row.doomed:
        return "now"
    return when(row.next_us) if row.next_us else "not scheduled"


def _remarks(row: ListedRepository) -> Iterator[str]:
    if row.held:
        yield row.held
    if row.unannounced:
        yield f"{row.unannounced} kept only because the events of their pushes were lost"
