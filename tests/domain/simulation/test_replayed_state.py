"""A repository in its past: real deletions, and manifests without a tag. Times are seconds after the start."""

from service.domain.oci.manifest import References
from service.domain.retention.state import State, Untagged
from service.domain.simulation.replayed_state import ReplayedState
from service.domain.simulation.timeline import Timeline
from tests.support.makers import digest_of, policy, tag, us
from tests.support.past import (
    DAY,
    LAST_2,
    SIZE,
    THREE,
    deleted,
    deleted_digest,
    gone,
    left,
    lived,
    missed,
    pruned,
    pulled,
    pushed,
)

# Reality


def test_an_image_that_both_policies_delete_is_not_reported_as_kept_longer() -> None:
    assert lived(LAST_2, *THREE, pruned("v1", 4)).spared == ()


def test_an_image_pruned_before_the_period_is_deleted_in_the_replay() -> None:
    outcome = lived(LAST_2, *THREE, pruned("v1", 4), start=10)
    assert (gone(outcome), left(outcome), outcome.spared) == ([], ["v2", "v3"], ())


def test_the_deletion_of_a_digest_by_a_user_deletes_all_its_tags() -> None:
    outcome = lived(LAST_2, pushed("a", 1, "one"), pushed("b", 2, "one"), deleted_digest("one", 3), deleted("a", 3))
    assert left(outcome) == []


def test_a_deleted_tag_leaves_a_manifest_without_one_and_a_deleted_digest_nothing() -> None:
    rules = policy("rules: [{keep: always, untagged: 1d}]")
    assert gone(lived(rules, pushed("v1", 1), deleted("v1", 2))) == [("(v1)", DAY + 2)]
    assert gone(lived(rules, pushed("v1", 1), deleted("v1", 2), deleted_digest("v1", 3))) == []


# Manifests without a tag, revisions, indexes


def test_an_overwritten_digest_is_deleted_by_its_own_rule_and_may_be_missed() -> None:
    rules = policy("rules: [{name: old, keep: always, untagged: 1d}]")
    outcome = lived(rules, pushed("main", 0, "a"), pushed("main", 10, "b"), pulled("", 2 * DAY, "a"))
    (deletion,) = outcome.deletions
    assert (deletion.tags, deletion.lost_tag, deletion.at_us) == ((), "main", us(DAY + 10))
    assert deletion.size_bytes == SIZE
    assert missed(outcome) == [("(main)", 1)]


def test_a_digest_that_comes_back_under_its_tag_is_no_revision() -> None:
    rules = policy("rules: [{keep: {revisions: 2}, untagged: 1m}]")
    pushes = [pushed("main", number * 10, digest) for number, digest in enumerate("abcb")]
    assert lived(rules, *pushes).deletions == ()


def test_a_tag_that_a_user_deleted_has_lost_its_revisions() -> None:
    rules = policy("rules: [{keep: {revisions: 5}, untagged: 1h}]")
    outcome = lived(
        rules, pushed("main", 0, "a"), pushed("main", 10, "b"), deleted("main", 20), pushed("main", 30, "c")
    )
    assert [item.digest for item in outcome.deletions] == [digest_of("a"), digest_of("b")]
    assert gone(outcome) == [("(main)", 3610), ("(main)", 3620)]


def test_a_revision_that_is_recorded_takes_no_slot_before_it_is_one() -> None:
    rules = policy("rules: [{keep: {revisions: 1}, untagged: 10s}]")
    present = {"main": (digest_of("b"), digest_of("a"), digest_of("old"))}
    pushes = [pushed("main", at, digest) for at, digest in ((1000, "a"), (2000, "b"), (3000, "c"))]
    outcome = lived(
        rules, *pushes, revisions=present, untagged=(Untagged(digest_of("old"), us(500), "main"),), start=1500
    )
    assert [(item.digest, item.at_us) for item in outcome.deletions] == [
        (digest_of("old"), us(2600)),
        (digest_of("a"), us(3600)),
    ]


def test_parts_that_were_pushed_under_the_tag_of_their_index_are_no_revisions() -> None:
    rules = policy("rules: [{keep: {revisions: 1}, untagged: 1h}]")
    links = {digest_of(name): References(children=(digest_of(f"{name} part"),)) for name in ("i", "j")}
    pushes = [pushed("main", number * 1000, name) for number, name in enumerate(("old", "i part", "i", "j part", "j"))]
    outcome = lived(rules, *pushes, links=links)
    assert [item.digest for item in outcome.deletions] == [digest_of("old")]


def test_a_manifest_that_never_had_a_tag_counts_from_its_last_push() -> None:
    rules = policy("rules: [{keep: always, untagged: 2h}]")
    present = (Untagged(digest_of("lone"), us(5000), ""),)
    outcome = lived(rules, pushed("", 5, "lone"), pruned("", 4000, "lone"), pushed("", 5000, "lone"), untagged=present)
    assert gone(outcome) == [("()", 5000 + 7200)]
    assert [(item.tag, item.digest) for item in outcome.spared] == [("", digest_of("lone"))]
    early = lived(rules, pushed("", 5, "lone"), end=10_000, untagged=present)
    assert gone(early) == [("()", 7205)]


def test_a_manifest_that_has_a_tag_is_none_without() -> None:
    past = ReplayedState(Timeline(State(repository="shop/api", untagged=(Untagged(digest_of("one"), us(5)),))))
    past.change(pushed("v1", 6, "one"))
    assert past.state().untagged == ()


def test_the_size_is_what_the_registry_told_at_any_time() -> None:
    present = (tag("copy", 1, "one", size_bytes=7),)
    outcome = lived(LAST_2, pulled("v1", 6.5, "one"), pushed("v2", 6), pushed("v3", 7), tags=present)
    assert [(item.tags, item.size_bytes) for item in outcome.deletions] == [(("v1", "copy"), 7)]


INDEX = {digest_of("index"): References(children=(digest_of("amd64"), digest_of("arm64")))}
PARTS = (pushed("", 0, "amd64"), pushed("", 0, "arm64"))
NEWER = (pushed("v2", 2), pushed("v3", 3))
LAST_2_UNTAGGED = policy("rules: [{keep: {last: 2}, untagged: 1h}]")


def test_the_parts_of_an_index_are_kept_with_it_and_are_deleted_after_it() -> None:
    outcome = lived(LAST_2_UNTAGGED, *PARTS, pushed("v1", 1, "index"), *NEWER, links=INDEX)
    assert gone(outcome) == [("v1", 3), ("(v1)", 3), ("(v1)", 3)]


def test_a_pull_of_an_index_and_its_part_counts_once() -> None:
    pulls = (pulled("v1", 2 * DAY, "index"), pulled("", 2 * DAY + 1, "amd64"))
    outcome = lived(LAST_2_UNTAGGED, *PARTS, pushed("v1", 1, "index"), *NEWER, *pulls, links=INDEX)
    assert missed(outcome) == [("v1", 1)]


def test_a_part_pulled_by_its_digest_is_a_pull_of_the_image() -> None:
    pull = pulled("", 2 * DAY, "amd64")
    outcome = lived(LAST_2_UNTAGGED, *PARTS, pushed("v1", 1, "index"), *NEWER, pull, links=INDEX)
    assert missed(outcome) == [("v1", 1)]


def test_an_index_that_is_pushed_again_brings_its_parts_back() -> None:
    again = (pushed("v1", 2 * DAY, "index"), pulled("", 2 * DAY + 1, "amd64"))
    outcome = lived(LAST_2_UNTAGGED, *PARTS, pushed("v1", 1, "index"), *NEWER, *again, links=INDEX)
    assert missed(outcome) == []


def test_an_index_that_is_pushed_again_holds_its_parts_again() -> None:
    again = (pushed("v1", 1800, "index"), pushed("v4", DAY), pushed("v5", DAY + 1))
    outcome = lived(LAST_2_UNTAGGED, *PARTS, pushed("v1", 1, "index"), *NEWER, *again, links=INDEX)
    assert [item for item in gone(outcome) if item[0] == "(v1)"] == [("(v1)", 3)] * 2 + [("(v1)", DAY + 1)] * 2


def test_the_parts_of_an_index_that_had_no_tag_any_more_had_its_last_tag() -> None:
    outcome = lived(LAST_2_UNTAGGED, *PARTS, pushed("v1", 1, "index"), pushed("v1", 2, "new"), links=INDEX)
    assert [(item.lost_tag, item.at_us) for item in outcome.deletions] == [("v1", us(3602))] * 3


# Tags that go alone


LATEST = policy("protect: latest\nrules: [{name: newest, keep: {last: 2}}]")


def test_only_the_tag_is_deleted_of_an_image_that_another_tag_keeps() -> None:
    outcome = lived(LATEST, pushed("v1", 0), pushed("latest", 0.5, "v1"), *NEWER)
    (deletion,) = outcome.deletions
    assert (deletion.tags, deletion.digest, deletion.at_us) == (("v1",), digest_of("v1"), us(3))
    assert (deletion.only_tags, deletion.size_bytes) == (True, 0)
    assert deletion.reason == "older than the newest 2 (rule newest); its image is kept as latest"
    assert left(outcome) == ["latest", "v2", "v3"]
    assert gone(lived(LATEST.model_copy(update={"shared": "keep"}), pushed("v1", 0), pushed("latest", 0.5, "v1"),
                      *NEWER)) == []  # fmt: skip


def test_an_image_that_is_kept_is_missed_by_the_name_that_was_deleted_and_by_no_other() -> None:
    happened = (pushed("v1", 0), pushed("latest", 0.5, "v1"), *NEWER)
    others = (pulled("latest", 10, "v1"), pulled("", 11, "v1"))
    assert missed(lived(LATEST, *happened, *others)) == []
    assert missed(lived(LATEST, *happened, *others, pulled("v1", 12))) == [("v1", 1)]


def test_an_image_is_deleted_whole_once_its_last_tag_does() -> None:
    rules = policy("rules: [{tags: v*, keep: {last: 2}}, {tags: latest, keep: {pushed_within: 1d}}]")
    outcome = lived(rules, pushed("v1", 0), pushed("latest", 0, "v1"), *NEWER, pulled("", 2 * DAY, "v1"))
    assert [(item.tags, item.only_tags, item.size_bytes) for item in outcome.deletions] == [
        (("v1",), True, 0),
        (("latest",), False, SIZE),
    ]
    assert missed(outcome) == [("latest", 1)]


def test_the_parts_of_an_index_that_is_kept_as_another_tag_are_kept() -> None:
    happened = (*PARTS, pushed("v1", 0, "index"), pushed("latest", 0, "index"))
    assert gone(lived(LATEST, *happened, *NEWER, links=INDEX)) == [("v1", 3)]
    rules = policy(
        "protect: latest\nrules: [{name: newest, tags: '!*-amd64', keep: {last: 2}}, {keep: none, tags: '*-*'}]"
    )
    tagged = (pushed("v1-amd64", 0, "amd64"), pruned("v1", 1, "index"))
    assert gone(lived(rules, *happened, *tagged, *NEWER, links=INDEX, start=10)) == []


def test_a_former_revision_is_deleted_by_the_rules_of_the_tag_that_it_lost() -> None:
    rules = policy("rules: [{tags: v*, keep: none, untagged: 1h}, {tags: main, keep: {revisions: 1}}]")
    pushes = (pushed("main", 0, "a"), pushed("main", 1, "b"), pushed("v1", 2, "a"), pushed("main", 9000, "c"))
    outcome = lived(rules, *pushes)
    assert [(item.tags, item.lost_tag, item.digest, item.only_tags, item.at_us) for item in outcome.deletions] == [
        (("v1",), "", digest_of("a"), True, us(602)),
        ((), "v1", digest_of("a"), False, us(9600)),
    ]
    assert outcome.deletions[0].reason == "rule #1 keeps none; its image is kept as a revision of main"


def test_a_manifest_without_a_tag_pruned_before_the_period_is_deleted_in_the_replay() -> None:
    rules = policy("rules: [{keep: always, untagged: 2h}]")
    overwritten = (pushed("main", 1, "a"), pushed("main", 2, "b"))
    assert gone(lived(rules, *overwritten, start=5000)) == [("(main)", 7202)]
    assert gone(lived(rules, *overwritten, pruned("", 4000, "a"), start=5000)) == []


def test_a_tag_that_moved_away_no_longer_holds_its_image() -> None:
    happened = (pushed("v1", 0, "index"), pushed("latest", 0, "index"), pushed("latest", 1, "new"))
    outcome = lived(LAST_2, *PARTS, *happened, pruned("v1", 2, "index"), links=INDEX, start=10)
    assert gone(outcome) == [("(v1)", 10), ("(v1)", 10)]


def test_an_index_that_was_not_read_makes_the_deletions_unclear() -> None:
    assert lived(LAST_2, *THREE, links={digest_of("v3"): None}).unclear == (digest_of("v3"),)
    assert lived(LAST_2, *THREE[1:], links={digest_of("v3"): None}).unclear == ()


def test_an_image_whose_creation_was_not_read_counts_from_its_push_and_is_unclear() -> None:
    rules = policy("rules: [{order: created, keep: {last: 2}}]")
    outcome = lived(rules, *THREE)
    assert (gone(outcome), len(outcome.unclear)) == ([("v1", 3)], 3)
    known = tuple(tag(f"v{age}", age, created_us=us(1 - age)) for age in (1, 2, 3))
    outcome = lived(rules, *THREE, tags=known)
    assert (gone(outcome), outcome.unclear) == ([("v3", 603)], ())
