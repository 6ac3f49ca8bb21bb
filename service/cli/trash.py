"""`pushprune trash [REPO]`: the deleted images that can still be restored."""

from pathlib import Path

import click

from service.answers.history import DeletedImage
from service.cli.connect import connect, connection_options, known_repositories, show_json
from service.cli.names import parse_repository
from service.cli.output import line, short_digest, table, when
from service.collect.status import next_ms
from service.domain.policy.units import spell_size


@click.command()
@connection_options
@click.argument("repository", metavar="[REPO]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trash(repository: str | None, config: Path | None, data: Path | None, as_json: bool) -> None:
    """List deleted images that can be restored: until the next garbage collection, at most for history.trash."""
    if repository:
        repository = parse_repository(repository)
    wiring = connect(config, data)
    names = known_repositories(wiring.inventory, [repository]) if repository else wiring.inventory.names()
    life_s = wiring.settings.history.trash
    life_us = life_s * 1_000_000
    deleted = [(name, image) for name in names for image in wiring.restore.deleted(name)]
    if as_json:
        show_json([DeletedImage.of(name, image, life_s) for name, image in deleted])
        return
    if not deleted:
        click.echo("nothing can be restored" + (f" in {repository}" if repository else ""))
        return
    table(
        ("image", "digest", "size", "pushed", "deleted", "until", "reason"),
        (
            (f"{name}:{image.tag}" if image.tag else f"{name}@{image.digest}", short_digest(image.digest),
             spell_size(image.size_bytes or None), when(image.pushed_us), when(image.at_us),
             when(image.at_us + life_us), image.reason)
            for name, image in deleted
        ),
    )  # fmt: skip
    comes = next_ms(wiring.registry, wiring.settings.gc)
    collection = f"the next garbage collection ({when(comes * 1000)})" if comes else "the next garbage collection"
    line(f"restorable until that time or {collection}: pushprune restore REPO:TAG, or REPO@DIGEST")
