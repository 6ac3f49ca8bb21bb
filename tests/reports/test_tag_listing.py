"""The tags of a repository: filtered by status, sorted by expected deletion, signatures folded into their image."""

from dataclasses import replace

import pytest

from service.reports.tag_listing import TagListing, TagOrder, TagStatus
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.makers import digest_of, event, policy, understood

RULES = """
    rules:
    - {name: dev, tags: dev-*, keep: {last: 1}}
    - {name: pr, tags: pr-*, keep: {pushed_within: 3000w}}
    """
SIGNED = digest_of("pr-2")
SIGNATURE = f"sha256-{SIGNED.removeprefix('sha256:')}.sig"


def everything(_: str) -> bool:
    return True


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    """Two tags to be deleted, two that expire, one of them signed, one that no rule selects, one orphaned SBOM."""
    wiring = make_wiring(policy=policy(RULES))
    tags = ("dev-1", "dev-2", "dev-3", "pr-1", "pr-2", "stable", SIGNATURE, f"sha256-{'0' * 64}.sbom")
    pushes = [event(tag=tag, at=at) for at, tag in enumerate(tags)]
    wiring.store.history.record(understood(*pushes, event(tag="also", digest="stable", at=9)))
    return wiring


@pytest.fixture
def listing(wiring: Wiring) -> TagListing:
    return wiring.inventory.listing("shop/api")


def names(listing: TagListing, order: TagOrder = "name", status: TagStatus | None = None) -> list[str]:
    rows = listing.page(everything, order, status=status, folded=True).rows
    return [row.verdict.tag.name.removeprefix("sha256-")[:8].strip("0") for row in rows]


def test_the_next_deletion_comes_first_and_tags_that_do_not_expire_come_last(listing: TagListing) -> None:
    assert names(listing, "expires") == ["dev-1", "dev-2", "pr-1", "pr-2", "also", "dev-3", "", "stable"]
    assert names(listing, "status")[:2] == ["dev-1", "dev-2"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("delete", ["dev-1", "dev-2"]), ("held", []), ("signed", ["pr-2"]),
        ("keep", ["dev-3", "pr-1", "pr-2", "", "stable", "also"]),
    ],
)  # fmt: skip
def test_a_status_filters_the_tags(listing: TagListing, status: TagStatus, expected: list[str]) -> None:
    assert sorted(names(listing, status=status)) == sorted(expected)


def test_a_plan_that_waits_makes_its_tags_wait(wiring: Wiring) -> None:
    history = wiring.store.history
    plan = replace(wiring.verdicts.plan("shop/api"), hold="too many")
    assert history.commit(history.snapshot("shop/api"), plan, "held")
    listing = wiring.inventory.listing("shop/api")
    assert names(listing, status="held") == ["dev-1", "dev-2"]
    assert listing.totals.counts["held"] == 2


def test_a_signature_is_a_referrer_of_its_image_and_no_row_of_its_own(listing: TagListing) -> None:
    (row,) = listing.page(lambda name: name == "pr-2", folded=True).rows
    assert [(referrer.tag, referrer.kind) for referrer in row.referrers] == [(SIGNATURE, "signature")]
    assert SIGNATURE not in {tag.name for tag in listing.images}
    assert SIGNATURE in {row.verdict.tag.name for row in listing.page(everything).rows}


def test_the_totals_count_each_image_once_and_name_the_next_deletion(listing: TagListing) -> None:
    (first,) = (row.verdict.until_us for row in listing.page(lambda name: name == "pr-1").rows)
    assert listing.totals.next_us == first
    assert (listing.totals.tags, listing.totals.images) == (8, 7)
    assert dict(listing.totals.counts) == {"keep": 6, "delete": 2, "signed": 1}


def test_a_lease_of_a_user_is_shown_with_its_end(wiring: Wiring) -> None:
    until_ms = 4_000_000_000_000
    keys = wiring.store.connection.keys
    wiring.store.connection.client.zadd(keys.of("leased", "shop/api"), {digest_of("dev-1"): until_ms})
    leased = {row.verdict.tag.name: row.leased_us for row in wiring.inventory.listing("shop/api").page(everything).rows}
    assert (leased["dev-1"], leased["dev-2"]) == (until_ms * 1000, 0)
