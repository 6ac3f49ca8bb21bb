"""The page of a tag: the reason of its verdict, its history, and the difference of two of its images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

from flask import Blueprint, Response

from service.clock import now_us
from service.domain.errors import ConfigurationError, StoreUnavailable
from service.domain.history.interval import Interval
from service.domain.oci.diff import Difference, difference
from service.domain.oci.names import is_digest
from service.prune.manual import pending_deletions
from service.reports.image_parts import image_contents
from service.reports.listings import Listings
from service.web.pages import rendering
from service.web.pages.repository import host
from service.web.pages.time_line import began_us, time_line
from service.wiring import Wiring

_COMPARED = ("before", "after")
_Layers = Mapping[str, Sequence[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class TagPeriod:
    """A period during which a tag pointed at one digest.

    Attributes:
        began_us: when the tag was pushed to the image: for an imported tag, before pushprune found it.
        restorable: True if the tag can be restored to this image, as far as is known.
        pullable: True if the image can still be pulled by its digest, as far as is known.
        change: the difference to the previous image; None if the layers of one of them are unknown.
    """

    interval: Interval
    began_us: int | None
    restorable: bool
    pullable: bool
    change: Difference | None


def add(pages: Blueprint, wiring: Wiring) -> None:
    address = host(wiring.settings.registry.url)
    listings = Listings(wiring.inventory, wiring.policies)

    @pages.get("/tag/<path:repository>:<tag>")
    def tag(repository: str, tag: str) -> Response:
        # Each panel would repeat that the name is unknown. Without Redis, the panels say so.
        with suppress(StoreUnavailable):
            wiring.inventory.intervals(wiring.inventory.known(repository), tag)
        return rendering.page("tag.html", repository=repository, tag=tag, asked=rendering.query(*_COMPARED))

    @pages.get("/panels/tag/why/<path:repository>:<tag>")
    def tag_why(repository: str, tag: str) -> Response:
        listing = listings.of(wiring.inventory.known(repository))
        explanation = listing.explain(tag)
        asked = pending_deletions(wiring.store, repository).get(tag)
        listed = listing.page(lambda name: name == tag).rows
        ended = None if explanation else wiring.inventory.intervals(repository, tag)[:1]
        values = {
            "ended": ended[0] if ended else None,
            "explanation": explanation,
            "row": listed[0] if listed else None,
            "asked": asked,
            "is_dry": wiring.verdicts.is_dry(),
            "host": address,
        }
        return rendering.panel("tag_why.html", f"{repository}:{tag}", repository=repository, tag=tag, **values)

    @pages.get("/panels/tag/line/<path:repository>:<tag>")
    def tag_line(repository: str, tag: str) -> Response:
        wiring.inventory.known(repository)
        intervals = wiring.inventory.intervals(repository, tag)
        deleted = {image.digest for image in wiring.restore.deleted(repository)}
        pullable = wiring.restore.existing(repository)
        reachable = pullable | wiring.restore.trashed(repository) | deleted
        layers = wiring.inventory.layers(repository, (interval.digest for interval in intervals))
        periods = tuple(_periods(intervals, reachable, pullable, layers))
        now = intervals[0] if intervals and not intervals[0].ended else None
        return rendering.panel(
            "tag_line.html",
            f"{repository}:{tag}",
            repository=repository,
            tag=tag,
            periods=periods,
            now=now,
            host=address,
            line=time_line(intervals, now_us()),
        )

    @pages.get("/panels/tag/images/<path:repository>:<tag>")
    def tag_images(repository: str, tag: str) -> Response:
        images = _images(wiring.inventory.intervals(wiring.inventory.known(repository), tag))
        values = {
            "repository": repository,
            "tag": tag,
            "images": images,
            "asked": rendering.query(*_COMPARED),
        }
        return rendering.panel("tag_images.html", f"{repository}:{tag}", **values)

    @pages.get("/panels/tag/compare/<path:repository>:<tag>")
    def tag_compare(repository: str, tag: str) -> Response:
        images = _images(wiring.inventory.intervals(wiring.inventory.known(repository), tag))
        before, after = (_one_of(images, rendering.query(key).get(key, "")) for key in _COMPARED)
        layers = wiring.inventory.layers(repository, (before.digest, after.digest))
        values = {
            "images": (before, after),
            "counts": [len(layers.get(image.digest, ())) for image in (before, after)],
            "difference": difference(layers.get(before.digest), layers.get(after.digest)),
        }
        return rendering.panel("tag_compare.html", f"{repository}:{tag}", repository=repository, tag=tag, **values)

    @pages.get("/panels/tag/contents/<path:repository>:<tag>")
    def tag_contents(repository: str, tag: str) -> Response:
        listed = listings.of(wiring.inventory.known(repository)).page(lambda name: name == tag).rows
        current = listed[0].verdict.tag.digest if listed else ""
        contents = image_contents(wiring.registry.client, repository, current) if current else None
        return rendering.panel("tag_contents.html", f"{repository}:{tag}", current=current, contents=contents)

    @pages.get("/panels/tag/platforms/<path:repository>@<digest>")
    def tag_platforms(repository: str, digest: str) -> Response:
        if not is_digest(digest):
            raise ConfigurationError(
                f"{digest[:80]!r} is not a valid digest; write a complete digest such as sha256:ab12…"
            )
        platforms = wiring.platforms.of(wiring.inventory.known(repository), [digest])[digest]
        return rendering.panel("tag_platforms.html", "Platforms", platforms=platforms)


def _periods(
    intervals: Sequence[Interval], reachable: Set[str], pullable: Set[str], layers: _Layers
) -> Iterator[TagPeriod]:
    """Yield the periods of a tag, latest first. Of several periods at one digest, only the latest is restorable.

    Args:
        reachable: digests that can be restored.
        pullable: digests that can be pulled.
        layers: the layers of each digest, where they are known.
    """
    seen = {interval.digest for interval in intervals[:1] if not interval.ended}
    for interval, before in zip(intervals, [*intervals[1:], None], strict=True):
        change = difference(layers.get(before.digest), layers.get(interval.digest)) if before else None
        yield TagPeriod(
            interval, began_us(interval), interval.digest in reachable - seen, interval.digest in pullable, change
        )
        seen.add(interval.digest)


def _images(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    latest: dict[str, Interval] = {}
    for interval in intervals:
        latest.setdefault(interval.digest, interval)
    return tuple(latest.values())


def _one_of(images: Iterable[Interval], digest: str) -> Interval:
    image = next((image for image in images if image.digest == digest), None)
    if image is None:
        raise ConfigurationError(f"the tag never pointed to {digest[:80]!r}: choose two digests of its history")
    return image
