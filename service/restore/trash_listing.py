"""The deleted images of all repositories that can be restored: filtered, sorted, page by page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.domain.history.entry import Deleted
from service.domain.page import Page, Place, page
from service.domain.policy.patterns import Matcher
from service.store.trash import Trash

TrashOrder = Literal["deleted", "-deleted", "size", "-size", "repository", "-repository"]

# The number of deletions that a page may read, so that it answers within a second on a busy machine.
MOST_READ = 10_000
_AT_ONCE = 200
_PLACES: dict[str, Callable[["TrashedImage"], int | str]] = {
    "deleted": lambda trashed: trashed.image.at_us,
    "size": lambda trashed: trashed.image.size_bytes,
    "repository": lambda trashed: trashed.repository,
}


@dataclass(frozen=True, slots=True)
class TrashedImage:
    """A deleted image that can be restored, and its repository."""

    repository: str
    image: Deleted


@dataclass(frozen=True, slots=True)
class TrashListing:
    """A page of the trash.

    Attributes:
        size_bytes: of all matching images, as far as it is known. Images may share layers.
        unread: number of repositories that were not read because there are too many deletions; those with the latest
            deletions were.
    """

    page: Page[TrashedImage]
    size_bytes: int
    unread: int


def list_trash(
    trash: Trash,
    matches: Matcher,
    reason: str = "",
    order: TrashOrder = "-deleted",
    after: Place | None = None,
    limit: int | None = None,
) -> TrashListing:
    """Return a page of the deleted images that can be restored.

    Args:
        matches: chooses the repositories.
        reason: a part of the reason, which also names the user of a manual deletion; "" for all.
        after: the place where the page before ended.
        limit: rows of the page; None: all deletions, however many there are.

    Raises:
        StoreUnavailable: Redis is away.
    """
    names = [name for name in trash.repositories() if matches(name)]
    trashed: list[TrashedImage] = []
    read = 0
    while read < len(names) and (limit is None or len(trashed) < MOST_READ):
        chosen = names[read : read + _AT_ONCE]
        read += len(chosen)
        for name, images in trash.deleted_from(chosen, reason).items():
            trashed += [TrashedImage(name, image) for image in images]
    place = _PLACES[order.lstrip("-")]
    chosen_page = page(
        trashed,
        lambda row: (place(row), f"{row.repository} {row.image.tag} {row.image.digest}"),
        descending=order.startswith("-"),
        after=after,
        limit=len(trashed) + 1 if limit is None else limit,
    )
    sizes = {(row.repository, row.image.digest): row.image.size_bytes for row in trashed}
    return TrashListing(chosen_page, sum(sizes.values()), len(names) - read)
