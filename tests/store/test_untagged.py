"""The history of untagged manifests, of earlier digests of a tag, and of use."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.oci.manifest import References
from service.domain.retention.plan import Plan
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.history import History
from service.store.keys import short
from tests.support.record import NOW, digest, event, facts_of, record, user_delete

SHOP = "shop/api"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


def untagged(history: History) -> dict[str, tuple[int, str]]:
    """digest → (thousandths after the start since when, the tag it had last)."""
    result = history.snapshot(SHOP).untagged
    return {item.digest: ((item.since_us - NOW) // 1000, item.tag) for item in result}


def test_an_overwritten_digest_is_untagged_since_the_push_that_took_its_tag(history: History) -> None:
    record(history, event(1, seed="old"), event(5, seed="new"))
    assert untagged(history) == {digest("old"): (5, "v1")}


def test_a_manifest_that_another_tag_points_at_is_not_untagged(history: History) -> None:
    record(history, event(1, seed="old"), event(2, seed="old", tag="v2"), event(5, seed="new"))
    assert untagged(history) == {}
    record(history, event(9, seed="newer", tag="v2"))
    assert untagged(history) == {digest("old"): (9, "v2")}


def test_a_manifest_that_is_tagged_again_is_not_untagged(history: History) -> None:
    record(history, event(1, seed="old"), event(5, seed="new"), event(6, seed="old", tag="stable"))
    assert untagged(history) == {}


def test_a_push_by_digest_is_untagged_and_again_later_starts_its_clock_anew(history: History) -> None:
    record(history, event(1, tag=None, seed="x"))
    assert untagged(history) == {digest("x"): (1, "")}
    record(history, event(7, tag=None, seed="x"), event(3, tag=None, seed="x"))
    assert untagged(history) == {digest("x"): (7, "")}


def test_a_push_by_digest_of_what_had_a_tag_begins_anew_like_one_that_never_had_any(history: History) -> None:
    record(history, event(1, seed="old"), event(5, seed="new"), event(8, tag=None, seed="old"))
    assert untagged(history) == {digest("old"): (8, "")}


def test_a_manifest_that_is_forgotten_because_there_are_too_many_is_counted(
    connection: Connection, history: History
) -> None:
    key, counters = connection.keys.of("untagged", SHOP), connection.keys.of("counters")
    others: dict[Any, Any] = {short(digest(number)): f"{NOW} v1" for number in range(9_999)}
    connection.client.hset(key, mapping=others)
    record(history, event(1, tag=None, seed="x"))
    assert connection.client.hget(counters, "forgotten") is None
    record(history, event(2, tag=None, seed="y"))
    assert (connection.client.hlen(key), connection.client.hget(counters, "forgotten")) == (10_000, "1")
    facts_of(history).find_referrers(
        history.snapshot(SHOP), {digest("z"): (NOW, References(subject=digest("unknown")))}
    )
    assert (connection.client.hlen(key), connection.client.hget(counters, "forgotten")) == (10_000, "2")


def test_a_tag_deleted_by_itself_leaves_its_digest_untagged(history: History) -> None:
    record(history, event(1, seed="x"), user_delete(4, "v1"))
    assert untagged(history) == {digest("x"): (4, "v1")}


@pytest.mark.parametrize("first", ["digest", "tag"])
def test_a_deleted_digest_does_not_count_as_untagged(history: History, first: str) -> None:
    by_digest = event(4, "delete", tag=None, seed="x", media_type="")
    by_tag = replace(user_delete(4, "v1"), id="another")
    record(history, event(1, seed="x"))
    record(history, *([by_digest, by_tag] if first == "digest" else [by_tag, by_digest]))
    assert untagged(history) == {}


def read_index(history: History) -> None:
    """A worker has read the manifest of the index, which lists one part."""
    facts_of(history).resolve(history.snapshot(SHOP), {digest("i"): References(children=(digest("part"),))})


def test_the_parts_of_a_deleted_index_are_untagged_from_then_on(history: History) -> None:
    record(history, event(1, tag=None, seed="part"))
    record(history, event(2, media_type=INDEX, seed="i"))
    read_index(history)
    record(history, event(9, "delete", tag=None, seed="i", media_type=""), user_delete(10, "v1"))
    assert untagged(history) == {digest("part"): (9, "")}


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2), (3, 0, 1, 2), (1, 2, 3, 0), (1, 0, 3, 2)])
def test_a_manifest_deleted_before_its_tag_moved_is_not_untagged(history: History, order: tuple[int, ...]) -> None:
    deleted = (event(4, "delete", None, "old", media_type=""), user_delete(5, "v1"))
    messages = (event(2, seed="old"), *deleted, event(8, seed="new"))
    record(history, *(messages[nth] for nth in order))
    assert untagged(history) == {}


def test_a_part_that_was_deleted_after_its_index_is_not_untagged_whatever_is_reported_first(history: History) -> None:
    index = event(3, seed="index", media_type=INDEX)
    record(history, event(1, tag=None, seed="a"), event(2, tag=None, seed="b"), index)
    parts = References(children=(digest("a"), digest("b")))
    facts_of(history).resolve(history.snapshot(SHOP), {digest("index"): parts})
    part = event(6, "delete", None, "a", media_type="")
    record(history, part, event(4, "delete", None, "index", media_type=""), user_delete(5, "v1"))
    assert untagged(history) == {digest("b"): (4, "")}


def test_a_part_stays_untagged_when_an_older_deletion_of_it_is_reported_late(history: History) -> None:
    record(history, event(2, tag=None, seed="part"))
    record(history, event(3, media_type=INDEX, seed="i"))
    read_index(history)
    history.commit(history.snapshot(SHOP), Plan(), "none")  # it is part of an index: that it has no tag says nothing
    record(history, event(9, "delete", tag=None, seed="i", media_type=""), user_delete(10, "v1"))
    record(history, event(1, "delete", tag=None, seed="part", media_type=""))
    assert untagged(history) == {digest("part"): (9, "")}


def test_the_parts_of_an_index_are_not_believed_to_an_event(history: History) -> None:
    record(history, event(1, tag=None, seed="part"))
    record(history, event(2, media_type=INDEX, seed="i", children=(digest("part"),)))
    record(history, event(9, "delete", tag=None, seed="i", media_type=""), user_delete(10, "v1"))
    (part,) = history.snapshot(SHOP).untagged
    assert (part.since_us, part.index) == (NOW + 1000, "")


def test_parts_are_untagged_also_if_the_index_was_read_before_its_push_and_deletion_were_reported(
    history: History,
) -> None:
    record(history, event(9, "delete", tag=None, seed="i", media_type=""), user_delete(10, "v1"))
    read_index(history)
    record(history, event(2, media_type=INDEX, seed="i"))
    (part,) = (item for item in history.snapshot(SHOP).untagged if item.digest == digest("part"))
    assert (part.since_us, part.index) == (NOW + 9000, digest("i"))


def test_the_parts_of_an_index_that_is_found_missing_are_untagged_and_do_not_follow_it(history: History) -> None:
    record(history, event(2, media_type=INDEX, seed="i"))
    read_index(history)
    facts_of(history).resolve(history.snapshot(SHOP), {digest("i"): None})
    (part,) = history.snapshot(SHOP).untagged
    assert (part.digest, part.index) == (digest("part"), "")


def test_a_part_of_a_deleted_index_stays_one_when_an_older_push_of_it_is_reported_late(history: History) -> None:
    record(history, event(2, tag=None, seed="part"))
    record(history, event(3, media_type=INDEX, seed="i"))
    read_index(history)
    record(history, event(9, "delete", tag=None, seed="i", media_type=""), user_delete(10, "v1"))
    record(history, event(1, seed="part"))
    (left,) = history.snapshot(SHOP).untagged
    assert (left.digest, left.index) == (digest("part"), digest("i"))


def test_a_late_push_of_an_old_digest_leaves_it_untagged(history: History) -> None:
    record(history, event(5, seed="new"))
    record(history, event(1, seed="old"))
    assert untagged(history) == {digest("old"): (5, "v1")}
    assert history.snapshot(SHOP).revisions == {"v1": (digest("old"),)}


def test_revisions_are_the_digests_before_the_newest_first_and_each_once(history: History) -> None:
    for number, seed in enumerate("abcab"):
        record(history, event(number, seed=seed))
    assert history.snapshot(SHOP).revisions == {"v1": (digest("a"), digest("c"))}


def test_revisions_end_with_their_tag(history: History) -> None:
    record(history, event(1, seed="a"), event(2, seed="b"), user_delete(3, "v1"), event(4, seed="c"))
    assert history.snapshot(SHOP).revisions == {}


MINUTE = 60_000


def pushed_with_its_parts(history: History, at: int, index: str, *parts: str, tag: str = "v1") -> None:
    """A push as by Docker with the containerd image store: each part under the tag, then the index."""
    for number, part in enumerate(parts):
        record(history, event(at + number, seed=part, tag=tag))
    record(history, event(at + len(parts), seed=index, tag=tag, media_type=INDEX))


def read_parts(history: History, index: str, *parts: str) -> None:
    references = References(children=tuple(map(digest, parts)))
    facts_of(history).resolve(history.snapshot(SHOP), {digest(index): references})


def revisions(history: History, tag: str = "v1") -> tuple[str, ...]:
    return history.snapshot(SHOP).revisions.get(tag, ())


def test_the_parts_of_an_index_that_were_pushed_under_its_tag_are_no_revisions_once_it_was_read(
    history: History,
) -> None:
    record(history, event(1, seed="old"))
    pushed_with_its_parts(history, MINUTE, "i", "a", "b")
    pushed_with_its_parts(history, MINUTE, "i", "a", "b", tag="latest")
    read_parts(history, "i", "a", "b")
    assert revisions(history) == (digest("old"),)
    assert revisions(history, "latest") == ()
    pushed_with_its_parts(history, 2 * MINUTE, "j", "a", "c")
    record(history, event(3 * MINUTE, seed="new"))
    read_parts(history, "j", "a", "c")
    assert revisions(history) == (digest("j"), digest("i"), digest("old")), "the tag has moved since"


def test_the_parts_of_an_index_that_was_read_before_are_no_revisions_when_it_is_pushed_again(history: History) -> None:
    pushed_with_its_parts(history, 1, "i", "a", "b")
    read_parts(history, "i", "a", "b")
    record(history, event(MINUTE, seed="between"))
    pushed_with_its_parts(history, 2 * MINUTE, "i", "a", "b")
    assert revisions(history) == (digest("between"),)


def test_a_part_that_is_reported_after_its_index_is_no_revision(history: History) -> None:
    record(history, event(1, seed="old"), event(MINUTE, seed="i", media_type=INDEX))
    read_parts(history, "i", "a", "b")
    record(history, event(MINUTE - 2, seed="a"), event(MINUTE - 1, seed="b"))
    assert revisions(history) == (digest("old"),)


def test_the_parts_of_an_index_that_a_comparison_found_are_no_revisions(history: History) -> None:
    pushed_with_its_parts(history, 1, "i", "a", "b", tag="latest")
    read_parts(history, "i", "a", "b")
    record(history, event(10, seed="old"), event(MINUTE, seed="a"), event(MINUTE + 1, seed="b"))
    tag = Tag("v1", digest("i"), (MINUTE + 2) * 1000)
    facts_of(history).adopt(history.snapshot(SHOP), [(tag, "")], indexes=frozenset({digest("i")}))
    assert revisions(history) == (digest("old"),)


def test_a_part_that_the_tag_pointed_at_long_before_its_index_is_a_revision(history: History) -> None:
    record(history, event(1, seed="a"))
    pushed_with_its_parts(history, 11 * MINUTE, "i", "b")
    read_parts(history, "i", "a", "b")
    assert revisions(history) == (digest("a"),)


def test_a_part_that_is_pushed_under_the_tag_after_its_index_has_made_the_index_a_revision(history: History) -> None:
    record(history, event(1, seed="i", media_type=INDEX), event(MINUTE, seed="a"), event(2 * MINUTE, seed="new"))
    read_parts(history, "i", "a")
    assert revisions(history) == (digest("a"), digest("i"))


def test_no_more_revisions_are_kept_than_a_policy_can_ask_for(history: History) -> None:
    for number in range(105):
        record(history, event(number))
    (revisions,) = history.snapshot(SHOP).revisions.values()
    assert revisions == tuple(digest(number) for number in range(103, 3, -1))


def test_a_tag_found_elsewhere_leaves_what_it_stood_at(history: History) -> None:
    record(history, event(1, seed="old"))
    facts_of(history).adopt(history.snapshot(SHOP), tags=[(Tag("v1", digest("new"), None), "")])
    (left,) = history.snapshot(SHOP).untagged
    assert (left.digest, left.tag, left.since_us > NOW) == (digest("old"), "v1", True)
    assert history.snapshot(SHOP).revisions == {"v1": (digest("old"),)}


def test_a_vanished_tag_proves_nothing_about_the_manifests_that_it_pointed_at(history: History) -> None:
    record(history, event(1, seed="old"), event(2, seed="new"))
    facts_of(history).adopt(history.snapshot(SHOP), vanished=["v1"])
    assert [left.digest for left in history.snapshot(SHOP).untagged] == [digest("old")]
    assert history.snapshot(SHOP).revisions == {"v1": (digest("old"),)}


def test_the_number_of_remembered_untagged_manifests_is_bounded(history: History, connection: Connection) -> None:
    client: Any = connection.client
    key = connection.keys.of("untagged", SHOP)
    client.hset(key, mapping={digest(f"old {number}"): "1 v0" for number in range(10_000)})
    record(history, event(1, seed="a"), event(2, seed="b"))
    assert client.hlen(key) == 10_000
    assert digest("a") in untagged(history)


def test_a_pull_counts_for_its_tag_and_one_by_digest_for_all_that_stand_there(history: History) -> None:
    record(history, event(1, tag="a", seed="x"), event(2, tag="b", seed="x"), event(3, tag="c"))
    record(history, event(5, "pull", tag="a", seed="x"), event(7, "pull", tag=None, seed="x"))
    pulled = {tag.name: tag.pulled_us and (tag.pulled_us - NOW) // 1000 for tag in history.live(SHOP)}
    assert pulled == {"a": 7, "b": 7, "c": None}


def test_a_pull_that_does_not_count_is_recorded_and_no_use(history: History, connection: Connection) -> None:
    record(history, event(1), replace(event(5, "pull"), counts=False))
    assert history.live(SHOP)[0].pulled_us is None
    assert connection.client.xlen(connection.keys.of("pulls")) == 1


def test_creation_times_are_remembered_while_a_tag_points_at_the_image(
    history: History, connection: Connection
) -> None:
    record(history, event(1, seed="x"))
    facts_of(history).date(history.snapshot(SHOP), {digest("x"): 17, digest("gone"): 18})
    snapshot = history.snapshot(SHOP)
    assert [tag.created_us for tag in snapshot.tags] == [17]
    assert len(snapshot.stale_created) == 1
    history.commit(snapshot, Plan(), "none")
    assert connection.client.hlen(connection.keys.of("created", SHOP)) == 1
