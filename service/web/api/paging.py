"""Paged listings: the page size, and the cursor at which the next page begins."""

import base64
import json
from collections.abc import Callable
from typing import TypeVar

from pydantic import Field

from service.answers.base import ApiAnswer
from service.domain.page import Page, Place
from service.domain.policy.patterns import LONGEST_PATTERN, Matcher
from service.domain.retention.selector import search_matcher
from service.web.models import ApiRequest
from service.web.problems import InvalidRequest

MOST_ROWS = 1000
_LONGEST_CURSOR = 1000
_MOST_NUMBER = 2**63
_NO_CURSOR = "cursor: invalid for this sort order; leave it out to begin at the first page"

Row = TypeVar("Row")


class PageQuery(ApiRequest):
    """The page of a listing."""

    limit: int = Field(default=100, ge=1, le=MOST_ROWS, description="page size")
    cursor: str | None = Field(
        default=None, max_length=_LONGEST_CURSOR, description="`next` of the previous page; absent: the first page"
    )


class SearchQuery(PageQuery):
    """A search, and the page of its matches."""

    search: str = Field(
        default="",
        max_length=LONGEST_PATTERN,
        description="a part of the name, or a glob of the whole name: * stops at /, ** does not",
    )

    def finding(self) -> Matcher:
        """Return the matcher of the search. Raises InvalidRequest if the search is not a valid glob."""
        return matcher_of("search", self.search)


def matcher_of(field: str, text: str) -> Matcher:
    """Return the matcher of the text in a field. Raises InvalidRequest if the text is not a valid glob."""
    try:
        return search_matcher(text)
    except ValueError as error:
        raise InvalidRequest([f"{field}: {error}"]) from error


class Paged(ApiAnswer):
    """A page of a listing."""

    next: str | None = Field(description="cursor of the next page; null: this is the last page")


def cursor_of(page: Page[Row], order: str) -> str | None:
    """Return the cursor of the next page, or None after the last page. The cursor contains the sort order."""
    return packed([order, *page.after]) if page.after else None


def place_of(cursor: str | None, order: str, kind: type) -> Place | None:
    """Return the place that a cursor encodes, or None for the first page.

    Args:
        order: the sort order of this request. The cursor must be from the same order.
        kind: the type of the sort key, int or str.

    Raises:
        InvalidRequest: the cursor was not made by `cursor_of` for this order.
    """
    if cursor is None:
        return None
    match unpacked(cursor):
        case [str(sort), int(key) | str(key), str(name)] if sort == order and type(key) is kind:
            if isinstance(key, str) or abs(key) < _MOST_NUMBER:
                return key, name
    raise InvalidRequest([_NO_CURSOR])


def packed(value: list[int | str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def unpacked(cursor: str) -> object:
    """Return the packed value. Raises InvalidRequest if the cursor was not made by `packed`."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest([_NO_CURSOR]) from error


def id_of(cursor: str | None, is_id: Callable[[str], bool]) -> str | None:
    """Return the id of a history entry that a cursor holds. Raises InvalidRequest if the cursor is not such an id."""
    if cursor is not None and not is_id(cursor):
        raise InvalidRequest([_NO_CURSOR])
    return cursor
