"""`pushprune tags` and `pushprune rm` on a registry of version 1."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from service.cli.connect import show_json
from service.cli.output import line, number, table
from service.domain.errors import NoSuchRepository, NoSuchTag, NotDeletable
from service.domain.retention.selector import TagSelector, is_glob
from service.registry.v1 import RegistryV1, Tagged, delete, tags, wishes

_SHORT = 12


def show_tags(registry: RegistryV1, repository: str, tag: str, as_json: bool) -> None:
    """Print the tags that match (all for ""), each with its image and the other tags of that image."""
    if is_glob(repository):
        raise NoSuchRepository("a registry of version 1 does not list its repositories: name each one")
    all_tags = {tagged.tag: tagged for tagged in tags(registry, repository)}
    selected = TagSelector(repository, tag).tags(all_tags) if tag else all_tags
    if tag and not selected:
        raise NoSuchTag(f"{repository}:{tag}: tag not found; `pushprune tags {repository}` lists them")
    rows = [all_tags[name] for name in sorted(selected)]
    if as_json:
        show_json([asdict(tagged) for tagged in rows])
        return
    table(("tag", "image", "also"), ((tagged.tag, tagged.image[:_SHORT], ", ".join(tagged.also)) for tagged in rows))


def remove(
    registry: RegistryV1, wanted: Sequence[TagSelector], *, dry_run: bool, yes: bool, force: bool, as_json: bool
) -> None:
    """Show the selected tags, ask, and delete them. Version 1 has no request that deletes an image: images are kept."""
    selected = wishes(registry, wanted, force=force)
    if not as_json:
        _show(selected)
    if dry_run or not selected:
        if as_json:
            show_json({"deletions": [asdict(tagged) for tagged in selected]})
        return
    if not yes:
        click.confirm("delete it?", abort=True)
    done = tuple(delete(registry, selected))
    stays = tuple(tagged for tagged, gone in done if not gone)
    if as_json:
        show_json(
            {
                "deleted": [asdict(tagged) for tagged, gone in done if gone],
                "kept": [asdict(tagged) for tagged in stays],
            }
        )
    else:
        line(f"deleted: {number(len(done) - len(stays), 'tag')}; version 1 keeps the images, so a tag can be restored:")
        put = f"{registry.url}/v1/repositories/REPO/tags/TAG"
        line(f"""curl -X PUT -H 'Content-Type: application/json' -d '"IMAGE"' {put}""")
    if stays:
        names = ", ".join(f"{tagged.repository}:{tagged.tag}" for tagged in stays)
        raise NotDeletable(f"not deleted, as it was pushed meanwhile: {names}")


def _show(selected: Sequence[Tagged]) -> None:
    if not selected:
        click.echo("nothing to delete")
        return
    rows = ((f"{tagged.repository}:{tagged.tag}", tagged.image, ", ".join(tagged.also)) for tagged in selected)
    table(("to delete", "image", "other tags of the image"), rows)
