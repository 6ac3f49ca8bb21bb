"""Listings page by page: how many rows, and a cursor that says where the next page begins."""

import base64
import json
from collections.abc import Callable
from typing import TypeVar

from pydantic import Field

from service.domain.page import Page, Place
from service.domain.policy.patterns import LONGEST_PATTERN, Matcher
from service.domain.search import finding
from service.web.models import Answer, Asked
from service.web.problems import Faulty

MOST_ROWS = 1000
_LONGEST_CURSOR = 1000
_MOST_NUMBER = 2**63
_NO_CURSOR = "cursor: it is none that the page before gave for this order; leave it out to begin at the first page"

Row = TypeVar("Row")


class PageQuery(Asked):
    """Which page."""

    limit: int = Field(default=100, ge=1, le=MOST_ROWS, description="rows of a page at most")
    cursor: str | None = Field(
        default=None, max_length=_LONGEST_CURSOR, description="`next` of the page before; absent: the first page"
    )


class SearchQuery(PageQuery):
    """Which of them, and which page."""

    search: str = Field(
        default="",
        max_length=LONGEST_PATTERN,
        description="a part of the name, or a glob of the whole name: * stops at /, ** does not",
    )

    def finding(self) -> Matcher:
        """What is searched for. Raises Faulty for what is no glob."""
        try:
            return finding(self.search)
        except ValueError as error:
            raise Faulty([f"search: {error}"]) from error


class Paged(Answer):
    """A page of a listing."""

    next: str | None = Field(description="the cursor of the next page; null: this is the last one")


def cursor_of(page: Page[Row], order: str) -> str | None:
    """The cursor of the page after this one; it says in which order it counts."""
    return packed([order, *page.after]) if page.after else None


def place_of(cursor: str | None, order: str, kind: type) -> Place | None:
    """The place behind a cursor. kind: what is sorted by, int or str. Raises Faulty for what is no cursor of ours."""
    if cursor is None:
        return None
    match unpacked(cursor):
        case [str(said), int(by) | str(by), str(name)] if said == order and type(by) is kind:
            if isinstance(by, str) or abs(by) < _MOST_NUMBER:
                return by, name
    raise Faulty([_NO_CURSOR])


def packed(value: list[int | str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def unpacked(cursor: str) -> object:
    """The value that was packed. Raises Faulty for what is no cursor of ours."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Faulty([_NO_CURSOR]) from error


def id_of(cursor: str | None, is_id: Callable[[str], bool]) -> str | None:
    """The id of an entry of a history behind a cursor. Raises Faulty for what is none."""
    if cursor is not None and not is_id(cursor):
        raise Faulty([_NO_CURSOR])
    return cursor
