"""Deleted images that can still be restored."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.base import TimeMs
from service.answers.history import DeletedImage
from service.collect.garbage import restorable_until
from service.collect.status import next_ms
from service.registry import Registry
from service.restore.trash_listing import TrashOrder, list_trash
from service.settings import Settings
from service.store import Store
from service.web.api.api_blueprint import Api
from service.web.api.paging import Paged, PageQuery, cursor_of, matcher_of, place_of
from service.web.models import respond

_LONGEST = 256


class TrashQuery(PageQuery):
    """Filters, order and page of the trash."""

    repository: str = Field(
        default="", max_length=_LONGEST, description="a part of the name of the repository, or a glob of the whole name"
    )
    reason: str = Field(
        default="", max_length=_LONGEST, description="a part of the reason, which names the user of a manual deletion"
    )
    sort: TrashOrder = Field(default="-deleted", description="sort field; prefix with - for descending order")


class TrashedImages(Paged):
    """A page of the deleted images that can be restored."""

    total: int = Field(description="total number of matches on all pages")
    size_bytes: int = Field(description="size of all matches in bytes, as far as it is known; layers may be shared")
    unread: int = Field(description="number of repositories with earlier deletions that were not read: name one")
    next_collection_at: TimeMs | None = Field(description="the next scheduled collection; null: no schedule")
    deleted: tuple[DeletedImage, ...] = Field(description="the images")


def add(api: Api, store: Store, registry: Registry, settings: Settings) -> None:
    pages = api.resource("trash")

    @pages.get("/trash", responses={HTTPStatus.OK: TrashedImages})
    def trash(query: TrashQuery) -> Response:
        """List the deleted images of all repositories that can still be restored"""
        matches = matcher_of("repository", query.repository)
        after = place_of(query.cursor, query.sort, str if query.sort.endswith("repository") else int)
        listing = list_trash(store, matches, query.reason, query.sort, after, query.limit)
        rows = listing.page.rows
        images = [(row.repository, row.image.digest, row.image.at_us) for row in rows]
        ends_us = restorable_until(store, settings.gc, settings.history.trash, images)
        return respond(
            TrashedImages(
                next=cursor_of(listing.page, query.sort),
                total=listing.page.total,
                size_bytes=listing.size_bytes,
                unread=listing.unread,
                next_collection_at=next_ms(registry, settings.gc),
                deleted=tuple(
                    DeletedImage.of(row.repository, row.image, end_us)
                    for row, end_us in zip(rows, ends_us, strict=True)
                ),
            )
        )
