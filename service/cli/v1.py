"""`pushprune tags` and `pushprune rm` on a registry of version 1."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from service.cli.reach import show_json
from service.cli.show import line, number, table
from service.domain.errors import NoSuchRepository, NoSuchTag, NotDeletable
from service.domain.retention.selector import Wanted, is_glob
from service.registry.v1 import RegistryV1, Tagged, delete, tags, wishes

_SHORT = 12


def show_tags(registry: RegistryV1, repository: str, tag: str, as_json: bool) -> None:
    """Every tag that is meant (all for ""), the image it stands at, and the other tags of that."""
    if is_glob(repository):
        raise NoSuchRepository("a registry of version 1 does not list its repositories: name each one")
    every = {one.tag: one for one in tags(registry, repository)}
    meant = Wanted(repository, tag).tags(every) if tag else every
    if tag and not meant:
        raise NoSuchTag(f"{repository}:{tag} is no tag that is there; `pushprune tags {repository}` lists them")
    found = [every[name] for name in sorted(meant)]
    if as_json:
        show_json([asdict(one) for one in found])
        return
    table(("tag", "image", "also"), ((one.tag, one.image[:_SHORT], ", ".join(one.also)) for one in found))


def remove(
    registry: RegistryV1, wanted: Sequence[Wanted], *, dry_run: bool, yes: bool, force: bool, as_json: bool
) -> None:
    """Shows what goes, asks, and deletes it. The images stay: nothing in version 1 removes them."""
    found = wishes(registry, wanted, force=force)
    if not as_json:
        _show(found)
    if dry_run or not found:
        if as_json:
            show_json({"going": [asdict(one) for one in found]})
        return
    if not yes:
        click.confirm("delete it?", abort=True)
    done = tuple(delete(registry, found))
    stays = tuple(one for one, gone in done if not gone)
    if as_json:
        show_json({"deleted": [asdict(one) for one, gone in done if gone], "staying": [asdict(one) for one in stays]})
    else:
        line(f"deleted: {number(len(done) - len(stays), 'tag')}; version 1 keeps the images, so a tag can be put back:")
        put = f"{registry.url}/v1/repositories/REPO/tags/TAG"
        line(f"""curl -X PUT -H 'Content-Type: application/json' -d '"IMAGE"' {put}""")
    if stays:
        names = ", ".join(f"{one.repository}:{one.tag}" for one in stays)
        raise NotDeletable(f"pushed meanwhile, so it stays: {names}")


def _show(found: Sequence[Tagged]) -> None:
    if not found:
        click.echo("nothing goes")
        return
    rows = ((f"{one.repository}:{one.tag}", one.image, ", ".join(one.also)) for one in found)
    table(("goes", "image", "its image has also the tags"), rows)
