"""What somebody looks at again and again is decided once, and never told too late."""

import gc
import weakref

from service.web.pages.listings import Listings
from tests.conftest import keep_last
from tests.support.edge import ServeEdge
from tests.support.makers import event


def names(listings: Listings, repository: str = "shop/api") -> list[tuple[str, bool]]:
    return [(one.verdict.tag.name, one.verdict.kept) for one in listings.of(repository).page(lambda _: True).rows]


def test_each_push_is_seen_at_once_and_the_rest_within_ten_seconds(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey(policy=keep_last(1))
    edge.heard(event(tag="v1", at=1))
    now = [0.0]
    listings = Listings(edge.wiring, lambda: now[0])
    first = listings.of("shop/api")
    assert listings.of("shop/api") is first
    edge.heard(event(tag="v2", at=2))
    assert names(listings) == [("v2", True), ("v1", False)]
    second = listings.of("shop/api")
    now[0] = 9.0
    assert listings.of("shop/api") is second
    now[0] = 11.0
    assert listings.of("shop/api") is not second


def test_no_more_are_kept_than_it_may(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey(policy=keep_last(1))
    edge.heard(*(event(repository=f"r{number}") for number in range(40)))
    listings = Listings(edge.wiring)
    first = listings.of("r0")
    for number in range(40):
        listings.of(f"r{number}")
    assert listings.of("r0") is not first
    assert names(listings, "r39") == [("v1", True)]


def test_what_nobody_looks_at_any_more_takes_no_memory(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey(policy=keep_last(1))
    edge.heard(event(repository="r1"), event(repository="r2"))
    now = [0.0]
    listings = Listings(edge.wiring, lambda: now[0])
    looked_at = weakref.ref(listings.of("r1").live)
    now[0] = 9.0
    again = listings.of("r2")
    assert looked_at() is not None
    now[0] = 11.0
    listings.of("r3")
    gc.collect()
    assert looked_at() is None
    assert listings.of("r2") is again
