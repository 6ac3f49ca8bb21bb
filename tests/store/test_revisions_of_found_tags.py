"""The revisions of tags that a comparison found, and whose push times are not known."""

import pytest

from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.history import History
from tests.support.record import NOW, digest, event, facts_of, record

SHOP = "shop/api"
# Equal times would be sorted by the digests: one of the two orders would be wrong.
orders = pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


def find(history: History, seed: str, pushed_us: int | None = None) -> None:
    facts_of(history).adopt(history.snapshot(SHOP), [(Tag("v1", digest(seed), pushed_us), "")])


@orders
def test_a_found_image_is_an_earlier_revision_than_the_image_that_replaced_it(
    history: History, first: str, second: str
) -> None:
    find(history, first)
    record(history, event(1, seed=second))
    record(history, event(2, seed="last"))
    assert history.snapshot(SHOP).revisions == {"v1": (digest(second), digest(first))}


@orders
def test_a_found_image_is_an_earlier_revision_than_the_image_that_was_found_in_its_place(
    history: History, first: str, second: str
) -> None:
    find(history, first)
    find(history, second, NOW)
    record(history, event(2, seed="last"))
    assert history.snapshot(SHOP).revisions == {"v1": (digest(second), digest(first))}


def test_an_image_whose_push_a_comparison_disproves_moves_no_tag_and_counts_as_untagged_from_now(
    history: History,
) -> None:
    facts_of(history).adopt(history.snapshot(SHOP), [(Tag("v1", digest("a"), None), "")], complete=True)
    record(history, event(1, seed="b"))
    snapshot = history.snapshot(SHOP)
    assert [tag.digest for tag in snapshot.tags] == [digest("a")]
    assert [manifest.digest for manifest in snapshot.untagged if manifest.since_us > NOW + 60_000_000] == [digest("b")]


def test_a_found_tag_with_a_time_gets_no_earlier_one_from_a_report(history: History) -> None:
    facts_of(history).adopt(history.snapshot(SHOP), [(Tag("v1", digest("a"), NOW + 5000, found=True), "")])
    record(history, event(1, seed="a"))
    assert [(tag.pushed_us, tag.found) for tag in history.snapshot(SHOP).tags] == [(NOW + 5000, True)]
