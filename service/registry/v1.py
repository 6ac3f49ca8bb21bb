"""The client of version 1 of the registry's HTTP API (before 2015), which has tags but no digests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from service.domain.errors import NoSuchRepository, NotDeletable, RegistryUnavailable, unknown_tag
from service.domain.retention.selector import TagSelector, is_glob
from service.registry.answers import read_json
from service.registry.exchange import Answer
from service.registry.transport import RegistryTransport


class RegistryV1(RegistryTransport):
    """One registry of version 1. Every method raises the errors of RegistryTransport.

    The registry itself stores a repository without a slash in `library/`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url.rstrip("/").removesuffix("/v1"), **options)

    def is_there(self) -> bool:
        """True if a registry of version 1, and not of a later version, answers."""
        return self.send("GET", "/v2/", {}).status == 404 and self.send("GET", "/v1/_ping", {}).status == 200

    def tags(self, repository: str) -> Mapping[str, str]:
        """Map each tag to the id of its image. Raises NoSuchRepository."""
        answer = self.send("GET", _path(repository), {})
        if _is_gone(answer):
            raise NoSuchRepository(f"{self.where} has no repository {repository}")
        tags = self._read(answer)
        if not isinstance(tags, dict) or not all(isinstance(image, str) for image in tags.values()):
            raise RegistryUnavailable(f"{self.where} sent no valid listing of {repository}")
        return tags

    def image(self, repository: str, tag: str) -> str | None:
        """The id of the tag's image; None if the tag does not exist."""
        answer = self.send("GET", _path(repository, tag), {})
        if _is_gone(answer):
            return None
        image = self._read(answer)
        if not isinstance(image, str):
            raise RegistryUnavailable(f"{self.where} named no image for {repository}:{tag}")
        return image

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and keep its image; False if the tag did not exist.

        The registry also answers 404 if it deleted the tag but another of its files was missing.
        """
        answer = self.send("DELETE", _path(repository, tag), {})
        if _is_gone(answer):
            return False
        self.expect(answer, 200)
        return True

    def _read(self, answer: Answer) -> object:
        self.expect(answer, 200)
        return read_json(answer)


def _path(repository: str, tag: str | None = None) -> str:
    below = "" if tag is None else f"/{quote(tag, safe='')}"
    return f"/v1/repositories/{quote(repository)}/tags{below}"


def _is_gone(answer: Answer) -> bool:
    """True if the registry itself answered 404, with {"error": …}; False for the page of a proxy."""
    body = read_json(answer) if answer.status == 404 else None
    return isinstance(body, dict) and "error" in body


@dataclass(frozen=True, slots=True)
class TagV1:
    """A tag and the id of its image. also: the other tags of the repository that point at the same image."""

    repository: str
    tag: str
    image: str
    also: tuple[str, ...] = ()


def tags(registry: RegistryV1, repository: str) -> tuple[TagV1, ...]:
    """Every tag of a repository, by name. Raises NoSuchRepository."""
    images = registry.tags(repository)
    return tuple(
        TagV1(
            repository,
            tag,
            images[tag],
            tuple(sorted(other for other in images if other != tag and images[other] == images[tag])),
        )
        for tag in sorted(images)
    )


def select_tags(registry: RegistryV1, selectors: Sequence[TagSelector], *, force: bool = False) -> tuple[TagV1, ...]:
    """Find the tags that a user wants to delete, each once.

    Args:
        registry: of version 1.
        selectors: the names that the user gave.
        force: delete all tags of a repository that has none of the tags to keep.

    Raises:
        NoSuchTag: a name matches no tag.
        NotDeletable: a name cannot be used with version 1, or every tag would be deleted without `force`.
    """
    chosen: dict[tuple[str, str], TagV1] = {}
    for name in selectors:
        if is_glob(name.repository):
            raise NotDeletable("a registry of version 1 does not list its repositories: name each one")
        if name.digest:
            raise NotDeletable(f"a registry of version 1 knows no digests: name a tag of {name.repository}")
        existing = {tag.tag: tag for tag in tags(registry, name.repository)}
        if name.exclude and existing and not name.excluded(existing) and not force:
            exceptions = " or ".join(name.exclude)
            raise NotDeletable(
                f"{name.repository} has no tag {exceptions}, so all of its tags would be deleted: "
                "add --force if you want that"
            )
        matches = name.tags(existing)
        if not matches and not name.exclude:
            raise unknown_tag(name.as_written, name.repository)
        chosen |= {(name.repository, tag): existing[tag] for tag in matches}
    return tuple(chosen[key] for key in sorted(chosen))


def delete_tags(registry: RegistryV1, chosen: Iterable[TagV1]) -> Iterator[tuple[TagV1, bool]]:
    """Delete tags one after the other, and yield each with True if it does not exist any more.

    A tag that points at another image by now is kept.
    """
    for tag in chosen:
        image = registry.image(tag.repository, tag.tag)
        if image == tag.image:
            registry.delete_tag(tag.repository, tag.tag)
            # The answer to the DELETE does not prove that the tag was deleted.
            image = registry.image(tag.repository, tag.tag)
        yield tag, image is None
