"""One tag: why it stays or goes, and its time line: where it stood, from when to when, by whom, why no longer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response

from service.domain.errors import ConfigurationError
from service.domain.explanation import with_hold
from service.domain.interval import Interval
from service.domain.notification import is_digest
from service.web.pages import frame
from service.web.pages.repository import host
from service.wiring import Wiring

_Layers = Mapping[str, Sequence[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Stay:
    """An interval of a tag. restorable: whether its deletion can be undone.

    new_bytes, shared_bytes: of its layers, against what stood there before; None where either's are not known.
    """

    interval: Interval
    restorable: bool
    new_bytes: int | None
    shared_bytes: int | None


def add(pages: Blueprint, wiring: Wiring) -> None:
    address = host(wiring.settings.registry.url)

    @pages.get("/tag/<path:repository>:<tag>")
    def tag(repository: str, tag: str) -> Response:
        return frame.page("tag.html", repository=repository, tag=tag, host=address)

    @pages.get("/panels/tag/why/<path:repository>:<tag>")
    def tag_why(repository: str, tag: str) -> Response:
        explained = wiring.outlook.explain(wiring.inventory.known(repository), (tag,))
        for hold in wiring.history.holds([repository]):
            explained = with_hold(explained, hold.digests, hold.reason)
        one = explained[0] if explained else None
        asked = wiring.asks.standing(repository).get(tag)
        values = {"one": one, "asked": asked, "is_dry": wiring.outlook.is_dry(), "host": address}
        return frame.panel("tag_why.html", f"{repository}:{tag}", repository=repository, tag=tag, **values)

    @pages.get("/panels/tag/line/<path:repository>:<tag>")
    def tag_line(repository: str, tag: str) -> Response:
        wiring.inventory.known(repository)
        found = wiring.inventory.intervals(repository, tag)
        kept = {one.digest for one in wiring.undo.deleted(repository) if one.tag == tag}
        stays = tuple(_stays(found, kept, wiring.history.layers(repository)))
        values = {"repository": repository, "tag": tag, "stays": stays, "host": address}
        return frame.panel("tag_line.html", f"{repository}:{tag}", **values)

    @pages.get("/panels/tag/platforms/<path:repository>@<digest>")
    def tag_platforms(repository: str, digest: str) -> Response:
        if not is_digest(digest):
            raise ConfigurationError(f"{digest[:80]!r} is no digest")
        platforms = wiring.platforms.of(wiring.inventory.known(repository), [digest])[digest]
        return frame.panel("tag_platforms.html", "Platforms", platforms=platforms)


def _stays(found: Sequence[Interval], kept: set[str], layers: _Layers) -> Iterator[Stay]:
    """found: the latest first."""
    for interval, before in zip(found, [*found[1:], None], strict=True):
        mine, theirs = layers.get(interval.digest), layers.get(before.digest) if before else None
        new_bytes = shared_bytes = None
        if mine and theirs:
            known = {mark for mark, _ in theirs}
            new_bytes = sum(size for mark, size in mine if mark not in known)
            shared_bytes = sum(size for mark, size in mine if mark in known)
        yield Stay(interval, interval.deleted and interval.digest in kept, new_bytes, shared_bytes)
