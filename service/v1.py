"""Tags of a registry of version 1: what names mean there, and deleting them. There is no history of it, and no undo."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.domain.errors import NoSuchTag, NotDeletable
from service.domain.wanted import Wanted, is_glob
from service.registry.v1 import RegistryV1

__all__ = ["RegistryV1", "Tagged", "delete", "tags", "wishes"]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag and the id of its image. also: the other tags of the repository that stand at the same image."""

    repository: str
    tag: str
    image: str
    also: tuple[str, ...] = ()


def tags(registry: RegistryV1, repository: str) -> tuple[Tagged, ...]:
    """Every tag of a repository, by name. Raises NoSuchRepository."""
    standing = registry.tags(repository)
    return tuple(
        Tagged(
            repository,
            tag,
            standing[tag],
            tuple(sorted(other for other in standing if other != tag and standing[other] == standing[tag])),
        )
        for tag in sorted(standing)
    )


def wishes(registry: RegistryV1, wanted: Sequence[Wanted], *, force: bool = False) -> tuple[Tagged, ...]:
    """The tags that these names mean, each once; raises NoSuchTag or NotDeletable for one that means nothing there.

    force: also all tags of a repository that has none of those that were to stay.
    """
    found: dict[tuple[str, str], Tagged] = {}
    for one in wanted:
        if is_glob(one.repository):
            raise NotDeletable("a registry of version 1 does not list its repositories: name each one")
        if one.digest:
            raise NotDeletable(f"a registry of version 1 knows no digests: name a tag of {one.repository}")
        every = {tagged.tag: tagged for tagged in tags(registry, one.repository)}
        if one.but and every and not one.spared(every) and not force:
            but = " or ".join(one.but)
            raise NotDeletable(f"no tag of {one.repository} is {but}: all of them would go; --force if that is meant")
        meant = one.tags(every)
        if not meant and not one.but:
            raise NoSuchTag(f"{one.called} is no tag that is there; `pushprune tags {one.repository}` lists them")
        found |= {(one.repository, tag): every[tag] for tag in meant}
    return tuple(found[key] for key in sorted(found))


def delete(registry: RegistryV1, tagged: Iterable[Tagged]) -> Iterator[tuple[Tagged, bool]]:
    """Deletes these tags one after the other; says of each whether it is gone. One that was pushed since stays."""
    for one in tagged:
        standing = registry.image(one.repository, one.tag)
        if standing == one.image:
            registry.delete_tag(one.repository, one.tag)
            standing = registry.image(one.repository, one.tag)
        yield one, standing is None
