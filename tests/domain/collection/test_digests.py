"""A table of digests gives each one a number, and marks are a set of digests."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.collection.digests import DigestTable, Marks

# Zeros stand in the table for digests that are not sha256.
_ZEROS = bytes(32)
_DIGEST = st.one_of(
    st.integers(0, 50).map(lambda number: hashlib.sha256(b"%d" % number).digest()),
    st.integers(0, 20).map(lambda number: hashlib.sha512(b"%d" % number).digest()),
    st.integers(0, 20).map(lambda number: hashlib.sha384(b"%d" % number).digest()),
    st.just(_ZEROS),
)


def many(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


@given(st.lists(_DIGEST, max_size=60))
def test_digests_have_the_numbers_of_their_order(digests: list[bytes]) -> None:
    table, order = DigestTable(), dict.fromkeys(digests)
    for digest in digests:
        table.add(digest)
    assert [table[number] for number in range(len(table))] == list(order)
    assert [table.number(digest) for digest in order] == list(range(len(order)))
    assert set(table.others) == {digest for digest in order if len(digest) != 32}


@pytest.mark.parametrize("long", [0, 700])
def test_a_table_that_grows_keeps_all_numbers(long: int) -> None:
    table, digests = DigestTable(), [*(hashlib.sha512(b"%d" % number).digest() for number in range(long)), *many(3000)]
    assert [table.add(digest) for digest in digests] == list(range(len(digests)))
    assert [table.number(digest) for digest in digests] == list(range(len(digests)))
    assert table.number(b"never added, and of the same size") is None
    assert {table.number(hashlib.sha256(b"never added").digest()), table.number(_ZEROS)} == {None}


@given(st.lists(_DIGEST, max_size=30), st.lists(_DIGEST, max_size=30), _DIGEST)
def test_marks_are_a_set(before: list[bytes], marked: list[bytes], other: bytes) -> None:
    table = DigestTable()
    for digest in before:
        table.add(digest)
    marks = Marks(table)
    marks.update(marked)
    assert (sorted(marks), len(marks), other in marks) == (sorted(set(marked)), len(set(marked)), other in marked)
    assert all(digest in marks for digest in marked)


def test_two_sets_of_marks_of_one_table_do_not_mix() -> None:
    first, second, *_ = digests = many(3)
    table = DigestTable()
    these, those = Marks(table), Marks(table)
    these.add(first)
    those.update(digests)
    assert (set(these), second in these) == ({first}, False)
