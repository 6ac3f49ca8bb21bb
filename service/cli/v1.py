"""`pushprune tags` and `pushprune rm` on a registry of version 1."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from service.cli.output import line, show_document, table
from service.domain.errors import NoSuchRepository, NotDeletable, unknown_tag
from service.domain.policy.units import spell_count
from service.domain.retention.selector import TagSelector, is_glob
from service.registry.v1 import RegistryV1, TagV1, delete_tags, select_tags, tags

_SHORT = 12


def show_v1_tags(registry: RegistryV1, repository: str, tag: str, as_document: bool) -> None:
    """Print the tags that match (all for ""), each with its image and the other tags of that image."""
    if is_glob(repository):
        raise NoSuchRepository("a registry of version 1 does not list its repositories: name each one")
    all_tags = {row.tag: row for row in tags(registry, repository)}
    selected = TagSelector(repository, tag).tags(all_tags) if tag else all_tags
    if tag and not selected:
        raise unknown_tag(f"{repository}:{tag}", repository)
    rows = [all_tags[name] for name in sorted(selected)]
    if as_document:
        show_document([asdict(row) for row in rows])
        return
    table(("tag", "image", "also"), ((row.tag, row.image[:_SHORT], ", ".join(row.also)) for row in rows))


def delete_v1_tags(
    registry: RegistryV1, selectors: Sequence[TagSelector], *, dry_run: bool, yes: bool, force: bool, as_document: bool
) -> None:
    """Show the selected tags, ask, and delete them. Version 1 has no request that deletes an image: images are kept."""
    selected = select_tags(registry, selectors, force=force)
    if not as_document:
        _show(selected)
    if dry_run or not selected:
        if as_document:
            show_document({"deletions": [asdict(tag) for tag in selected]})
        return
    if not yes:
        click.confirm("delete?", abort=True)
    results = tuple(delete_tags(registry, selected))
    deleted = [tag for tag, is_deleted in results if is_deleted]
    kept = [tag for tag, is_deleted in results if not is_deleted]
    if as_document:
        show_document({"deleted": [asdict(tag) for tag in deleted], "kept": [asdict(tag) for tag in kept]})
    else:
        line(f"deleted: {spell_count(len(deleted), 'tag')}; version 1 keeps the images, so a tag can be restored:")
        put = f"{registry.url}/v1/repositories/REPO/tags/TAG"
        line(f"""curl -X PUT -H 'Content-Type: application/json' -d '"IMAGE"' {put}""")
    if kept:
        names = ", ".join(f"{tag.repository}:{tag.tag}" for tag in kept)
        raise NotDeletable(f"not deleted, as it was pushed meanwhile: {names}")


def _show(selected: Sequence[TagV1]) -> None:
    if not selected:
        click.echo("nothing to delete")
        return
    rows = ((f"{row.repository}:{row.tag}", row.image, ", ".join(row.also)) for row in selected)
    table(("to delete", "image", "other tags of the image"), rows)
