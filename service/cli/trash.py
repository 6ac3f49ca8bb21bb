"""`pushprune trash [REPO]`: the deleted images that can still be restored."""

from pathlib import Path

import click

from service.answers.history import DeletedImage
from service.cli.command import examples
from service.cli.connect import connect, connection_options, matching_repositories
from service.cli.names import parse_repositories
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
from service.collect.garbage import restorable_until
from service.collect.status import next_ms
from service.domain.policy.units import spell_size
from service.domain.retention.selector import every_name
from service.restore.trash_listing import list_trash


@click.command(
    epilog=examples(
        "pushprune trash",
        "pushprune trash shop/api -o wide",
    ),
)
@connection_options
@click.argument("repository", metavar="[REPO]", required=False)
@output_options(lists=True)
@limit_option
def trash(
    repository: str | None, config: Path | None, data: Path | None, limit: int | None, as_document: bool
) -> None:  # fmt: skip
    """List the deleted images that can be restored, and until when. REPO may be a glob."""
    if repository:
        repository = parse_repositories(repository)
    wiring = connect(config, data)
    if repository:
        names = matching_repositories(wiring.inventory, (repository,))
        listing = list_trash(wiring.store, lambda name: name in names)
    else:
        listing = list_trash(wiring.store, every_name)
    deleted = [(row.repository, row.image) for row in listing.page.rows[:limit]]
    note_limit(limit, len(listing.page.rows))
    gc, comes = wiring.settings.gc, next_ms(wiring.registry, wiring.settings.gc)
    images = [(name, image.digest, image.at_us) for name, image in deleted]
    ends_us = restorable_until(wiring.store, gc, wiring.settings.history.trash, images)
    if as_document:
        rows_us = zip(deleted, ends_us, strict=True)
        show_document([DeletedImage.of(name, image, end_us) for (name, image), end_us in rows_us])
        return
    if show_names(_name(name, image.tag, image.digest) for name, image in deleted):
        return
    if not deleted:
        click.echo("nothing can be restored" + (f" in {repository}" if repository else ""))
        return
    headings = ("image", WideOnly("digest"), "size", WideOnly("pushed"), "deleted", "until", "reason")
    rows = (
        (_name(name, image.tag, image.digest), image.digest, spell_size(image.size_bytes or None),
         when(image.pushed_us), when(image.at_us), when(end_us), image.reason)
        for (name, image), end_us in zip(deleted, ends_us, strict=True)
    )  # fmt: skip
    table(headings, rows)
    collection = f"the next garbage collection ({when(comes * 1000)})" if comes else "the next garbage collection"
    if gc.collector == "online":
        collection = "a collection that is requested manually"
    line(f"restorable until that time or {collection}: pushprune restore REPO:TAG, or REPO@DIGEST")


def _name(repository: str, tag: str, digest: str) -> str:
    return f"{repository}:{tag}" if tag else f"{repository}@{digest}"
