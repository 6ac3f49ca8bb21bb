"""A page of a listing, and the place where the next page begins."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Generic, TypeVar

Row = TypeVar("Row")
# The sort key of a row, and a name that distinguishes rows of the same key.
Place = tuple[int | str, str]


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a listing.

    Attributes:
        rows: the rows in order.
        after: the place of the last row; None on the last page.
        total: the number of rows of the whole listing.
    """

    rows: tuple[Row, ...]
    after: Place | None
    total: int


def page(
    rows: Iterable[Row], place: Callable[[Row], Place], *, descending: bool, after: Place | None, limit: int
) -> Page[Row]:
    """Return the first `limit` rows after the place `after`, from all rows sorted by their places."""
    # The number keeps rows of equal places from being compared with each other.
    placed = [(place(row), number, row) for number, row in enumerate(rows)]
    rest = [item for item in placed if (item[0] < after if descending else item[0] > after)] if after else placed
    # Only the rows of the page are put in order, which is most of the work in a long listing.
    chosen = (nlargest if descending else nsmallest)(limit, rest)
    return Page(tuple(row for _, _, row in chosen), chosen[-1][0] if len(rest) > limit else None, len(placed))
