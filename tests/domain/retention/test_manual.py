"""Manual deletions in a plan: deleted images, kept images, and the answer."""

from typing import Any

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention.manual import rejections
from service.domain.retention.plan import Plan
from service.domain.retention.planner import plan
from service.domain.retention.state import ManualDeletion, State, Tag, Untagged
from tests.support.makers import digest_of, policy, tag, us

NOW = us(100)
LAST_1 = policy("rules: [{name: last, keep: {last: 1}}]")
REVISIONS = policy("rules: [{name: main, keep: {revisions: 1}}]")


def wanted(*names: str, at: str | None = None, **more: Any) -> dict[str, ManualDeletion]:
    """Requests of alice to delete these tags or digests. at: the digests of the tags then, if not their own."""
    return {name: ManualDeletion(digest_of(at or name), "alice", us(50), **more) for name in names}


def state(*tags: Tag, **more: Any) -> State:
    return State(repository="shop/api", tags=tags, **more)


def going(made: Plan) -> dict[str, str]:
    """Map each tag, or digest without a tag, that is to be deleted to the reason."""
    verdicts = (verdict for doomed in made.doomed for verdict in doomed.verdicts)
    return {verdict.tag.name or verdict.tag.digest: verdict.reason for verdict in verdicts}


def test_a_tag_that_a_user_deletes_is_not_counted_by_last() -> None:
    of = state(tag("v1", 1), tag("v2", 2), tag("v3", 3), manual_deletions=wanted("v3"))
    assert going(plan(of, LAST_1, NOW)) == {
        "v3": "deleted manually by alice", "v1": "older than the newest (rule last)",
    }  # fmt: skip
    assert going(plan(of, LAST_1, NOW, manual_only=True)) == {"v3": "deleted manually by alice"}


def test_a_tag_whose_push_was_not_reported_and_one_within_its_grace_are_deleted_too() -> None:
    of = state(tag("old", None), tag("new", 99), manual_deletions=wanted("old", "new"))
    assert going(plan(of, policy("grace: 1h\nrules: [{keep: none}]"), NOW)).keys() == {"old", "new"}


def test_a_tag_that_stands_elsewhere_by_now_does_not_go() -> None:
    of = state(tag("v1", 1, "newer"), manual_deletions=wanted("v1"))
    made = plan(of, Policy(), NOW, manual_only=True)
    assert (going(made), rejections(of, Policy(), made)) == ({}, {"v1": ""})


def test_a_tag_that_is_gone_says_nothing_any_more() -> None:
    of = state(manual_deletions=wanted("v1"))
    assert rejections(of, Policy(), plan(of, Policy(), NOW, manual_only=True)) == {"v1": ""}


def test_only_the_tag_is_deleted_where_an_index_holds_its_image_whatever_else_does() -> None:
    links = {digest_of("all"): References(children=(digest_of("part"),))}
    of = state(tag("amd64", 1, "part"), tag("also", 2, "part"), tag("all", 3), links=links)
    asked = wanted("amd64", at="part")
    (doomed,) = plan(State(**{**vars(of), "manual_deletions": asked}), Policy(), NOW).doomed
    assert (doomed.tags, doomed.only_tags) == (("amd64",), True)
    message = f"deleted manually by alice; its image is kept as part of the index {digest_of('all')}"
    assert doomed.verdicts[0].reason == message


def test_a_manual_deletion_of_an_unreadable_manifest_is_refused() -> None:
    of = state(tag("v1", 1), links={digest_of("v1"): References(readable=False)}, manual_deletions=wanted("v1"))
    made = plan(of, Policy(), NOW, manual_only=True)
    assert rejections(of, Policy(), made) == {"v1": "its manifest cannot be read, so its layers and parts are unknown"}


def test_a_digest_that_is_asked_for_whole_is_no_revision_that_is_kept() -> None:
    revisions = {"main": (digest_of("old"),)}
    of = state(tag("main", 2), tag("v1", 1, "old"), revisions=revisions)
    by_tag, whole = wanted("v1", at="old"), wanted(digest_of("old"))
    (alone,) = plan(State(**{**vars(of), "manual_deletions": by_tag}), REVISIONS, NOW).doomed
    (together,) = plan(State(**{**vars(of), "manual_deletions": by_tag | whole}), REVISIONS, NOW).doomed
    assert (alone.only_tags, together.only_tags) == (True, False)


def test_a_revision_without_a_tag_is_deleted_by_its_digest() -> None:
    old = digest_of("old")
    of = state(tag("main", 2), revisions={"main": (old,)}, untagged=(Untagged(old, us(2), "main"),))
    assert going(plan(of, REVISIONS, NOW)) == {}
    asked = State(**{**vars(of), "manual_deletions": wanted(old)})
    assert going(plan(asked, REVISIONS, NOW)) == {old: "deleted manually by alice"}


def test_a_digest_of_which_a_tag_is_kept_is_not_what_was_asked_for() -> None:
    requests = wanted("v1", at="one") | wanted(digest_of("one"))
    of = state(tag("v1", 1, "one"), tag("v2", 1, "one"), manual_deletions=requests)
    made = plan(of, Policy(), NOW, manual_only=True)
    assert rejections(of, Policy(), made) == {digest_of("one"): ""}


def test_a_manual_deletion_counts_towards_no_hold() -> None:
    of = state(tag("v1", 1), tag("v2", 2), manual_deletions=wanted("v1", "v2"))
    assert plan(of, policy("hold_over: 0%\nhold_min: 0"), NOW).hold is None


def test_an_index_that_was_not_read_is_read_first() -> None:
    of = state(tag("v1", 1), tag("all", 2), links={digest_of("all"): None}, manual_deletions=wanted("v1"))
    assert plan(of, Policy(), NOW, manual_only=True).unresolved == (digest_of("all"),)


def test_a_manual_deletion_waits_for_no_creation_date() -> None:
    rule = policy("rules: [{keep: {last: 1}, order: created}]")
    of = state(tag("v1", 1), tag("v2", 2), tag("v3", 3), manual_deletions=wanted("v3"))
    assert plan(of, rule, NOW).undated != ()
    assert plan(of, rule, NOW, manual_only=True).undated == ()


def test_referrers_of_what_was_deleted_by_hand_are_kept_where_a_rule_keeps_them() -> None:
    name = f"{digest_of('image').replace(':', '-')}.sig"
    gone = frozenset({digest_of("image")})
    of = state(tag(name, 1), deleted=gone, manual_deleted=gone)
    assert going(plan(of, Policy(), NOW, manual_only=True)).keys() == {name}
    keeping = policy("rules: [{keep: always, referrers: keep}]")
    assert going(plan(of, keeping, NOW, manual_only=True)) == {}
