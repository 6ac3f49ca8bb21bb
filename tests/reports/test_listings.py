"""A listing that users look at is computed once, and is never out of date for long."""

import gc
import weakref

import pytest

from service.reports.listings import Listings
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.support.record import event, record


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    return make_wiring(policy=keep_last(1))


def names(listings: Listings, repository: str = "shop/api") -> list[tuple[str, bool]]:
    return [(row.verdict.tag.name, row.verdict.kept) for row in listings.of(repository).page(lambda _: True).rows]


def test_each_push_is_seen_at_once_and_the_rest_within_ten_seconds(wiring: Wiring) -> None:
    record(wiring.store.history, event(1, tag="v1"))
    now = [0.0]
    listings = Listings(wiring.inventory, wiring.policies, lambda: now[0])
    first = listings.of("shop/api")
    assert listings.of("shop/api") is first
    record(wiring.store.history, event(2, tag="v2"))
    assert names(listings) == [("v2", True), ("v1", False)]
    second = listings.of("shop/api")
    now[0] = 9.0
    assert listings.of("shop/api") is second
    now[0] = 11.0
    assert listings.of("shop/api") is not second


def test_the_number_of_cached_listings_is_limited(wiring: Wiring) -> None:
    record(wiring.store.history, *(event(number, repository=f"r{number}") for number in range(40)))
    listings = Listings(wiring.inventory, wiring.policies)
    first = listings.of("r0")
    for number in range(40):
        listings.of(f"r{number}")
    assert listings.of("r0") is not first
    assert names(listings, "r39") == [("v1", True)]


def test_a_listing_that_is_out_of_date_takes_no_memory(wiring: Wiring) -> None:
    record(wiring.store.history, event(1, repository="r1"), event(2, repository="r2"))
    now = [0.0]
    listings = Listings(wiring.inventory, wiring.policies, lambda: now[0])
    first = weakref.ref(listings.of("r1").live)
    now[0] = 9.0
    second = listings.of("r2")
    assert first() is not None
    now[0] = 11.0
    listings.of("r3")
    gc.collect()
    assert first() is None
    assert listings.of("r2") is second
