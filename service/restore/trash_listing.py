"""The deleted images of all repositories that can be restored: filtered, sorted, page by page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.domain.history.entry import Deleted
from service.domain.page import Page, Place, page
from service.domain.policy.patterns import Matcher
from service.store import Store
from service.store.trash import PackedDeletion

TrashOrder = Literal["deleted", "-deleted", "size", "-size", "repository", "-repository"]

# The number of deletions that a page may read, so that it answers within a second on a busy machine.
MOST_READ = 10_000
_AT_ONCE = 200
_PLACES: dict[str, Callable[[PackedDeletion], int | str]] = {
    "deleted": lambda deletion: int(deletion.at_us),
    "size": lambda deletion: int(deletion.size_bytes),
    "repository": lambda deletion: deletion.repository,
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
    store: Store,
    matches: Matcher,
    reason: str = "",
    order: TrashOrder = "-deleted",
    after: Place | None = None,
    limit: int | None = None,
) -> TrashListing:
    """Return a page of the deleted images that can be restored.

    Args:
        reason: a part of the reason, which also names the user of a manual deletion; "" for all.
        limit: rows of the page; None: all deletions, however many there are.

    Raises:
        StoreUnavailable: Redis is away.
    """
    names = [name for name in store.trash.repositories() if matches(name)]
    deletions: list[PackedDeletion] = []
    read = 0
    while read < len(names) and (limit is None or len(deletions) < MOST_READ):
        chosen = names[read : read + _AT_ONCE]
        read += len(chosen)
        deletions += store.trash.deleted_from(chosen, reason)
    place = _PLACES[order.lstrip("-")]
    listed = page(
        deletions,
        lambda deletion: (place(deletion), f"{deletion.repository} {deletion.field}"),
        descending=order.startswith("-"),
        after=after,
        limit=len(deletions) + 1 if limit is None else limit,
    )
    rows = tuple(TrashedImage(deletion.repository, deletion.unpacked()) for deletion in listed.rows)
    sizes = {(deletion.repository, deletion.short): int(deletion.size_bytes) for deletion in deletions}
    return TrashListing(Page(rows, listed.after, listed.total), sum(sizes.values()), len(names) - read)
