"""One tag: why it stays or goes, its time line, and what one of its images has that another has not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from flask import Blueprint, Response

from service.domain.errors import ConfigurationError
from service.domain.history.interval import Interval
from service.domain.oci.diff import Difference, difference
from service.domain.oci.names import is_digest
from service.domain.retention.explanation import with_hold
from service.web.pages import frame
from service.web.pages.repository import host
from service.wiring import Wiring

_COMPARED = ("before", "after")
_Layers = Mapping[str, Sequence[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Stay:
    """An interval of a tag. restorable: whether the tag can be put back there, as far as is known.

    there: True if the image can still be pulled by its digest, as far as is known. against: the one before it; None
    where it is not known of both what they consist of.
    """

    interval: Interval
    restorable: bool
    there: bool
    against: Difference | None


def add(pages: Blueprint, wiring: Wiring) -> None:
    address = host(wiring.settings.registry.url)

    @pages.get("/tag/<path:repository>:<tag>")
    def tag(repository: str, tag: str) -> Response:
        return frame.page("tag.html", repository=repository, tag=tag, asked=frame.asked(*_COMPARED))

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
        deleted = {one.digest for one in wiring.undo.deleted(repository)}
        there = wiring.undo.standing(repository)
        reachable = wiring.undo.reachable(repository) | deleted
        layers = wiring.history.layers(repository, (one.digest for one in found))
        stays = tuple(_stays(found, reachable, there, layers))
        now = found[0] if found and not found[0].ended else None
        values = {"repository": repository, "tag": tag, "stays": stays, "now": now, "host": address}
        return frame.panel("tag_line.html", f"{repository}:{tag}", **values)

    @pages.get("/panels/tag/images/<path:repository>:<tag>")
    def tag_images(repository: str, tag: str) -> Response:
        images = _images(wiring.inventory.intervals(wiring.inventory.known(repository), tag))
        values = {"repository": repository, "tag": tag, "images": images, "asked": frame.asked(*_COMPARED)}
        return frame.panel("tag_images.html", f"{repository}:{tag}", **values)

    @pages.get("/panels/tag/compare/<path:repository>:<tag>")
    def tag_compare(repository: str, tag: str) -> Response:
        images = _images(wiring.inventory.intervals(wiring.inventory.known(repository), tag))
        before, after = (_one_of(images, frame.asked(key).get(key, "")) for key in _COMPARED)
        layers = wiring.history.layers(repository, (before.digest, after.digest))
        values = {
            "images": (before, after),
            "counts": [len(layers.get(one.digest, ())) for one in (before, after)],
            "difference": difference(layers.get(before.digest), layers.get(after.digest)),
        }
        return frame.panel("tag_compare.html", f"{repository}:{tag}", repository=repository, tag=tag, **values)

    @pages.get("/panels/tag/platforms/<path:repository>@<digest>")
    def tag_platforms(repository: str, digest: str) -> Response:
        if not is_digest(digest):
            raise ConfigurationError(f"{digest[:80]!r} is no digest")
        platforms = wiring.platforms.of(wiring.inventory.known(repository), [digest])[digest]
        return frame.panel("tag_platforms.html", "Platforms", platforms=platforms)


def _stays(found: Sequence[Interval], reachable: Set[str], there: Set[str], layers: _Layers) -> Iterator[Stay]:
    """found: the latest first. Of several at one digest the latest is the one to put back."""
    seen = {one.digest for one in found[:1] if not one.ended}
    for interval, before in zip(found, [*found[1:], None], strict=True):
        against = difference(layers.get(before.digest), layers.get(interval.digest)) if before else None
        yield Stay(interval, interval.digest in reachable - seen, interval.digest in there, against)
        seen.add(interval.digest)


def _images(found: Iterable[Interval]) -> tuple[Interval, ...]:
    """The digests at which a tag stood, each when it did so last, the latest first."""
    latest: dict[str, Interval] = {}
    for interval in found:
        latest.setdefault(interval.digest, interval)
    return tuple(latest.values())


def _one_of(images: Iterable[Interval], digest: str) -> Interval:
    one = next((one for one in images if one.digest == digest), None)
    if one is None:
        raise ConfigurationError(f"the tag never stood at {digest[:80]!r}: choose two digests of its time line")
    return one
