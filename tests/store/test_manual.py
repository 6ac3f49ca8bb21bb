"""Manual deletions in Redis: noted as they were seen, and void once the image is pushed again."""

from typing import Any

import pytest

from service.domain.retention.state import Tag
from service.store.keys import short
from service.store.restorations import RestoredManifest
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.record import event, record

SHOP = "shop/api"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    """v1 and v2 are tags of shop/api."""
    made = make_wiring()
    record(made.store.history, event(1, tag="v1", digest=digest(1)), event(2, tag="v2", digest=digest(2)))
    return made


def mark(wiring: Wiring, of: str) -> None:
    """Record that a manual deletion deleted the tag."""
    client: Any = wiring.store.connection.client
    client.zadd(wiring.store.connection.keys.of("manual_deleted", SHOP), {short(of): wiring.store.connection.now_us()})


def test_a_request_for_a_tag_that_has_moved_is_not_noted(wiring: Wiring) -> None:
    seen = {"v1": digest(1), "v2": digest(1), "v3": digest(3)}
    assert wiring.store.manual.request(SHOP, seen, "alice") == ("v1",)
    (asked,) = wiring.store.manual.requests(SHOP).values()
    assert (asked.digest, asked.by, asked.force, asked.rejected) == (digest(1), "alice", False, "")


@pytest.mark.parametrize(
    ("seen", "restored_again_s", "is_protected"),
    [
        ({"v1": digest(1)}, 0, False),
        ({"v1": digest(1), "v2": digest(9)}, 0, True),
        ({"v1": digest(1)}, 90, True),
        ({"v1": digest(1)}, 30, True),
    ],
    ids=["", "v2 points at another image", "a user restores the image again", "for a shorter time"],
)
def test_a_request_ends_the_protection_by_a_restore_that_its_user_saw(
    wiring: Wiring, seen: dict[str, str], restored_again_s: int, is_protected: bool
) -> None:
    """If a name is left out, the image may also belong to that name."""
    restorations = wiring.store.restorations
    released = {digest(1): restorations.lease(SHOP, [digest(1)], 60)}
    if restored_again_s:
        restorations.lease(SHOP, [digest(1)], restored_again_s)
    assert wiring.store.manual.request(SHOP, seen, "alice", released=released) == ("v1",)
    assert (digest(1) in wiring.store.history.snapshot(SHOP).restored) is is_protected


def test_many_manifests_in_one_request_do_not_block_redis(wiring: Wiring) -> None:
    """A thousand manifests and ten thousand tags took many seconds when each manifest read every tag."""
    client: Any = wiring.store.connection.client
    client.config_resetstat()
    named = {digest(number): digest(number) for number in range(1, 6)}
    assert wiring.store.manual.request(SHOP, named, "alice") == tuple(named)
    assert client.info("commandstats")["cmdstat_hvals"]["calls"] == 1
    untagged = client.hkeys(wiring.store.connection.keys.of("untagged", SHOP))
    assert set(untagged) == {short(digest(number)) for number in (3, 4, 5)}


def test_a_part_that_is_noted_in_full_is_noted_once(wiring: Wiring) -> None:
    client: Any = wiring.store.connection.client
    key = wiring.store.connection.keys.of("untagged", SHOP)
    client.hset(key, digest(3), "1 ")
    assert wiring.store.manual.request(SHOP, {digest(3): digest(3)}, "alice") == (digest(3),)
    assert client.hgetall(key) == {digest(3): "1 "}


def test_the_repository_is_planned_again_before_anything_more_is_deleted(wiring: Wiring) -> None:
    before = wiring.store.history.snapshot(SHOP)
    wiring.store.manual.request(SHOP, {"v1": digest(1)}, "alice")
    assert not wiring.store.history.is_current(before)
    assert wiring.store.history.snapshot(SHOP).manual_deletions.keys() == {"v1"}
    assert wiring.store.outbox.backlog().due == 1


def test_a_rejected_request_is_reported_and_not_planned_again(wiring: Wiring) -> None:
    wiring.store.manual.request(SHOP, {"v1": digest(1), "v2": digest(2)}, "alice")
    wiring.store.manual.reject(SHOP, wiring.store.manual.requests(SHOP), {"v1": "no", "v2": ""})
    assert {name: request.rejected for name, request in wiring.store.manual.requests(SHOP).items()} == {"v1": "no"}
    assert wiring.store.history.snapshot(SHOP).manual_deletions == {}


def test_a_request_rejected_a_day_ago_makes_room(wiring: Wiring) -> None:
    wiring.store.manual.request(SHOP, {"v1": digest(1)}, "alice")
    wiring.store.manual.reject(SHOP, wiring.store.manual.requests(SHOP), {"v1": "no"})
    client: Any = wiring.store.connection.client
    key = wiring.store.connection.keys.of("manual", SHOP)
    text = client.hget(key, "v1")
    at_us = wiring.store.manual.requests(SHOP)["v1"].at_us
    client.hset(key, "v1", text.replace(str(at_us), str(at_us - 86_401 * 1_000_000)))
    wiring.store.manual.request(SHOP, {"v2": digest(2)}, "alice")
    assert wiring.store.manual.requests(SHOP).keys() == {"v2"}


def test_nothing_asked_for_is_kept_for_ever(wiring: Wiring) -> None:
    wiring.store.manual.request(SHOP, {"v1": digest(1)}, "alice")
    client: Any = wiring.store.connection.client
    assert 0 < client.ttl(wiring.store.connection.keys.of("manual", SHOP)) <= 7 * 86_400


def test_a_late_event_of_an_older_push_voids_nothing(wiring: Wiring) -> None:
    record(wiring.store.history, event(9, tag="v1", digest=digest(9)))
    wiring.store.manual.request(SHOP, {"v1": digest(9)}, "alice")
    record(wiring.store.history, event(5, tag="v1", digest=digest(5)))
    assert wiring.store.history.snapshot(SHOP).manual_deletions.keys() == {"v1"}


@pytest.mark.parametrize("tag", ["v1", "other", ""])
def test_any_push_of_a_digest_voids_what_was_asked_of_it(wiring: Wiring, tag: str) -> None:
    gone = digest(7)
    wiring.store.manual.request(SHOP, {gone: gone}, "alice")
    mark(wiring, gone)
    assert wiring.store.history.snapshot(SHOP).manual_deleted == {gone}
    record(wiring.store.history, event(7, tag=tag, digest=gone))
    after = wiring.store.history.snapshot(SHOP)
    assert (after.manual_deletions, after.manual_deleted) == ({}, frozenset())


def test_a_tag_that_a_comparison_finds_ends_the_manual_deletion(wiring: Wiring) -> None:
    gone = digest(7)
    wiring.store.manual.request(SHOP, {gone: gone}, "alice")
    mark(wiring, gone)
    wiring.store.facts.adopt(wiring.store.history.snapshot(SHOP), [(Tag("found", gone, None, 400), "")])
    after = wiring.store.history.snapshot(SHOP)
    assert (after.manual_deletions, after.manual_deleted) == ({}, frozenset())


def test_a_restore_ends_the_manual_deletion(wiring: Wiring) -> None:
    wiring.store.manual.request(SHOP, {"v1": digest(1), digest(1): digest(1)}, "alice")
    mark(wiring, digest(1))
    restored = RestoredManifest("v1", digest(1), 1, 400, None, "ci", "alice", "its deletion was undone")
    restorations = wiring.store.restorations
    restorations.restored(SHOP, restored, restorations.pushed_at(SHOP, "v1"), restorations.now_us())
    after = wiring.store.history.snapshot(SHOP)
    assert (after.manual_deletions, after.manual_deleted) == ({}, frozenset())


def test_a_manual_deletion_of_a_day_ago_has_no_more_followers(wiring: Wiring) -> None:
    client: Any = wiring.store.connection.client
    late_us = wiring.store.connection.now_us() - 86_401 * 1_000_000
    client.zadd(wiring.store.connection.keys.of("manual_deleted", SHOP), {short(digest(7)): late_us})
    assert wiring.store.history.snapshot(SHOP).manual_deleted == frozenset()
