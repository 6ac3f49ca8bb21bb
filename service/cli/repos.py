"""`pushprune repos [NAME…]`: the known repositories."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click

from service.answers.repositories import Repository
from service.cli.connect import connect, connection_options, show_json
from service.cli.names import UnclearName
from service.cli.output import table, when
from service.domain.retention.selector import search_matcher
from service.reports.inventory import ListedRepository, RepositoryOrder

_ORDERS = ("name", "-name", "pushed", "-pushed", "tags", "-tags")
_EVERYTHING = 10_000_000


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|GLOB...]")
@connection_options
@click.option(
    "--sort",
    default="name",
    show_default=True,
    type=click.Choice(_ORDERS),
    help="Sort order; - for descending.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def repos(names: tuple[str, ...], config: Path | None, data: Path | None, sort: str, as_json: bool) -> None:
    """List the repositories with the number of their tags and their last push.

    NAME matches a part of the name; a glob matches the whole name.
    """
    try:
        matchers = [search_matcher(name) for name in names or ("",)]
    except ValueError as error:
        raise UnclearName(str(error)) from error
    wiring = connect(config, data)
    page = wiring.inventory.repositories(
        lambda name: any(matches(name) for matches in matchers), cast(RepositoryOrder, sort), limit=_EVERYTHING
    )
    if as_json:
        show_json([Repository.model_validate(row) for row in page.rows])
        return
    rows = (
        (
            row.repository, str(row.tags), when(row.pushed_us), str(row.doomed or ""),
            "; ".join(_remarks(row)),
        )
        for row in page.rows
    )  # fmt: skip
    table(("repository", "tags", "last push", "to delete", ""), rows)


def _remarks(row: ListedRepository) -> Iterator[str]:
    if row.held:
        yield row.held
    if row.unannounced:
        yield f"{row.unannounced} kept only because the events of their pushes were lost"
