"""Intervals of a tag: from the record, in whatever order it was heard, and from the present."""

from typing import Any

from service.domain.history.entry import Entry
from service.domain.history.interval import Interval, intervals
from service.domain.oci.manifest import OCI_INDEX
from service.domain.retention.state import Tag
from tests.support.makers import digest_of, us


def entry(action: str, at: float, tag: str = "v1", digest: str = "a", **more: Any) -> Entry:
    known = {"actor": "ci", "useragent": "docker", "media_type": "oci", "size_bytes": 7} if action == "push" else {}
    named = {"actor": "", "useragent": "", "media_type": "", "size_bytes": 0, "reason": "", "rule": "", **known, **more}
    return Entry(
        id=f"{at}-0", repository="shop/api", action=action, tag=tag, digest=digest_of(digest) if digest else "",
        address="", at_us=us(at), **named,
    )  # fmt: skip


def standing(at: float | None, digest: str) -> Tag:
    return Tag("v1", digest_of(digest), None if at is None else us(at), 7, "ci")


def told(*entries: Entry, now: Tag | None = None) -> list[tuple[str, int | None, int | None, str]]:
    return [
        (item.digest, item.from_us, item.to_us, item.ended) for item in intervals("v1", entries, now)
    ]  # fmt: skip


A, B = digest_of("a"), digest_of("b")


def test_a_push_begins_one_and_the_next_push_elsewhere_ends_it() -> None:
    result = intervals("v1", [entry("push", 1), entry("push", 5, digest="b", actor="bob")], standing(5, "b"))
    assert result == (
        Interval(B, us(5), None, "push", "bob", "docker", "oci", 7, us(5), 1),
        Interval(A, us(1), us(5), "push", "ci", "docker", "oci", 7, us(1), 1, "overwritten by bob", "bob"),
    )


def test_the_interval_of_a_tag_pushed_again_to_the_same_digest_continues() -> None:
    (first,) = intervals("v1", [entry("push", 1), entry("push", 5, actor="bob")], standing(5, "a"))
    assert (first.from_us, first.to_us, first.pushed_us, first.pushes, first.by) == (us(1), None, us(5), 2, "ci")


def pushed_with_parts(at: float, index: str, *parts: str, **more: Any) -> list[Entry]:
    """The push of an index by Docker with the containerd image store."""
    images = [entry("push", at + number / 10, digest=part) for number, part in enumerate(parts)]
    return [*images, entry("push", at + 1, digest=index, media_type=OCI_INDEX, **more)]


def test_parts_that_were_pushed_under_the_tag_right_before_their_index_are_no_intervals() -> None:
    pushes = [entry("push", 1), *pushed_with_parts(100, "i", "x", "y"), *pushed_with_parts(200, "b", "y", "z")]
    index = digest_of("i")
    assert told(*pushes, now=standing(201, "b")) == [
        (B, us(201), None, ""),
        (index, us(101), us(200), "overwritten by ci"),
        (A, us(1), us(100), "overwritten by ci"),
    ]
    assert [item.pushes for item in intervals("v1", pushes, standing(201, "b"))] == [1, 1, 1]


def test_the_interval_of_an_index_that_is_pushed_again_with_its_parts_continues() -> None:
    pushes = [*pushed_with_parts(100, "b", "x", "y"), *pushed_with_parts(200, "b", "x", "y")]
    assert told(*pushes, now=standing(201, "b")) == [(B, us(101), None, "")]


def test_images_of_another_client_or_long_before_the_index_are_intervals() -> None:
    other = pushed_with_parts(100, "b", "x", actor="bob")
    assert [digest for digest, *_ in told(*other, now=standing(101, "b"))] == [B, digest_of("x")]
    before = [entry("push", 90), *pushed_with_parts(100, "b", "x")]
    assert [digest for digest, *_ in told(*before, now=standing(101, "b"))] == [B, A]
    deleted = [entry("push", 99), entry("delete", 99.5, digest="", actor="eve"), *pushed_with_parts(100, "b", "x")]
    assert [digest for digest, *_ in told(*deleted, now=standing(101, "b"))] == [B, A]
    lonely = [entry("push", 99), entry("push", 100, digest="b")]
    assert [digest for digest, *_ in told(*lonely, now=standing(100, "b"))] == [B, A], "no index"


def test_other_tags_have_histories_of_their_own() -> None:
    others = [entry("push", 2, tag="v2", digest="b"), entry("pruned", 3, tag="v2", digest="b")]
    assert told(entry("push", 1), *others, now=standing(1, "a")) == [(A, us(1), None, "")]


def test_the_policy_ends_one_with_its_reason_and_rule() -> None:
    gone = entry("pruned", 9, reason="older than the newest 2 (rule last)", rule="last")
    (first,) = intervals("v1", [entry("push", 1), gone], None)
    assert (first.to_us, first.ended, first.rule, first.deleted) == (us(9), gone.reason, "last", True)


def test_a_delete_of_the_tag_or_of_its_digest_ends_it_and_of_another_digest_does_not() -> None:
    by_tag = entry("delete", 9, digest="", actor="eve")
    assert told(entry("push", 1), by_tag) == [(A, us(1), us(9), "deleted by eve")]
    assert told(entry("push", 1), entry("delete", 9, tag="")) == [(A, us(1), us(9), "deleted")]
    other = entry("delete", 9, tag="", digest="b")
    assert told(entry("push", 1), other, now=standing(1, "a")) == [(A, us(1), None, "")]


def test_both_forms_of_one_delete_end_it_once() -> None:
    both = [entry("push", 1), entry("delete", 9, tag="", actor="eve"), entry("delete", 9, digest="", actor="eve")]
    assert told(*both) == [(A, us(1), us(9), "deleted by eve")]


def test_a_deletion_that_is_told_twice_ends_it_once() -> None:
    twice = [entry("push", 1), entry("pruned", 5, reason="old"), entry("pruned", 6, reason="old")]
    assert told(*twice) == [(A, us(1), us(5), "old")]


def test_a_restored_tag_begins_a_new_interval() -> None:
    again = [entry("push", 1), entry("pruned", 5, reason="old"), entry("restored", 7, actor="ann")]
    result = intervals("v1", again, standing(1, "a"))
    assert [(item.from_us, item.to_us, item.how, item.by, item.media_type) for item in result] == [
        (us(7), None, "restored", "ann", "oci"), (us(1), us(5), "push", "ci", "oci"),
    ]  # fmt: skip


def test_an_imported_interval_and_a_lost_tag_are_named_as_such() -> None:
    result = intervals("v1", [entry("adopted", 3), entry("lost", 8, reason="taken along")], None)
    assert [(item.how, item.ended) for item in result] == [("adopted", "taken along")]


def test_a_deletion_tells_of_a_push_that_is_no_longer_recorded() -> None:
    assert told(entry("pruned", 9, reason="old")) == [(A, None, us(9), "old")]


def test_the_digest_that_the_tag_points_at_now_overrules_the_history() -> None:
    assert told(now=standing(4, "a")) == [(A, us(4), None, "")]
    assert told(entry("push", 1), now=standing(4, "b")) == [(B, us(4), None, ""), (A, us(1), us(4), "overwritten")]
    gone = "it was deleted; the history no longer says when and why"
    assert told(entry("push", 1)) == [(A, us(1), None, gone)]
    assert told() == []
