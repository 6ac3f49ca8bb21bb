"""A page of a listing, and the place where the next one begins."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")
Place = tuple[int | str, str]  # what is sorted by, and the name that tells equals apart


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """rows: in order. after: the place of the last one, None where nothing follows. total: of the whole listing."""

    rows: tuple[Row, ...]
    after: Place | None
    total: int


def page(
    rows: Iterable[Row], place: Callable[[Row], Place], *, descending: bool, after: Place | None, limit: int
) -> Page[Row]:
    """At most `limit` rows that stand behind the place `after`, of all rows sorted by their places."""
    placed = sorted(((place(row), number, row) for number, row in enumerate(rows)), reverse=descending)
    behind = [one for one in placed if after is None or ((one[0] < after) if descending else (one[0] > after))]
    chosen = behind[:limit]
    return Page(tuple(row for _, _, row in chosen), chosen[-1][0] if len(behind) > limit else None, len(placed))
