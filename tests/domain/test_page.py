"""Pages of a listing: every row once, also if rows are added or removed between two pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.page import Page, Place, page

ROWS = st.lists(st.tuples(st.integers(0, 3), st.text("abc", min_size=1, max_size=2)), unique=True, max_size=12)


def paged(rows: list[tuple[int, str]], descending: bool, limit: int) -> list[tuple[int, str]]:
    result: list[tuple[int, str]] = []
    after: Place | None = None
    for _ in range(len(rows) + 1):
        entry: Page[tuple[int, str]] = page(rows, lambda row: row, descending=descending, after=after, limit=limit)
        assert entry.total == len(rows)
        result += entry.rows
        after = entry.after
        if after is None:
            break
    return result


@given(ROWS, st.booleans(), st.integers(1, 5))
def test_all_pages_together_are_the_listing(rows: list[tuple[int, str]], descending: bool, limit: int) -> None:
    assert paged(rows, descending, limit) == sorted(rows, reverse=descending)


@pytest.mark.parametrize("descending", [False, True])
def test_a_row_that_goes_takes_no_other_along(descending: bool) -> None:
    rows = [(1, "a"), (1, "b"), (2, "c"), (2, "d")]
    first = page(rows, lambda row: row, descending=descending, after=None, limit=2)
    left = [row for row in rows if row != first.rows[-1]]
    second = page(left, lambda row: row, descending=descending, after=first.after, limit=2)
    assert {*first.rows, *second.rows} == set(rows)
    assert second.after is None
