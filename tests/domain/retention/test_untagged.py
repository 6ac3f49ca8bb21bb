"""Manifests without a tag: which are kept, which are deleted, and when."""

from typing import Any

import pytest

from service.domain.oci.manifest import References
from service.domain.retention.plan import Plan
from service.domain.retention.state import Untagged
from tests.support.makers import digest_of, planned, policy, tag, us

HOUR = 3600
NOW_S = 1000 * HOUR


def lost(digest: str, hours: float, tag: str = "b1") -> Untagged:
    """A manifest that lost its last tag so many hours ago; tag "": it never had one."""
    return Untagged(digest_of(digest), us(NOW_S - hours * HOUR), tag)


def decide(rules: str, *untagged: Untagged, more: str = "", **state: Any) -> Plan:
    tags = state.pop("tags", ())
    return planned(tags, policy(f"{more}\nrules: [{rules}]"), us(NOW_S), untagged=untagged, **state)


def reasons(decided: Plan) -> list[tuple[bool, str, str | None]]:
    return [(verdict.kept, verdict.reason, verdict.rule) for verdict in decided.untagged]


SILENT = (True, "no rule has `untagged` for manifests like this one", None)


def test_without_a_rule_for_untagged_manifests_all_are_kept() -> None:
    decided = decide("{keep: none}", lost("x", 999))
    assert (reasons(decided), decided.doomed, decided.next_us) == ([SILENT], (), None)


def test_a_manifest_is_deleted_once_it_has_been_untagged_as_long_as_the_rule_says() -> None:
    decided = decide("{name: r, keep: always, untagged: 24h}", lost("x", 24), lost("y", 23))
    assert {v.tag.digest: (v.kept, v.reason, v.rule) for v in decided.untagged} == {
        digest_of("x"): (False, "untagged for 1d or more (rule r)", "r"),
        digest_of("y"): (True, "untagged for less than 1d (rule r)", "r"),
    }
    (doomed,) = decided.doomed
    assert (doomed.digest, doomed.tags, doomed.verdicts[0].tag.name) == (digest_of("x"), (), "")
    assert decided.next_us == us(NOW_S + HOUR)


def test_verdicts_on_untagged_manifests_are_sorted_by_digest() -> None:
    digests = [verdict.tag.digest for verdict in decide("{keep: none}", *(lost(x, 1) for x in "abcdef")).untagged]
    assert digests == sorted(digests)


def test_a_manifest_that_lost_its_tag_may_be_a_part_of_an_index_that_is_being_pushed() -> None:
    untagged = [lost("x", 9 / 60), lost("y", 10 / 60)]
    assert reasons(decide("{name: r, keep: always, untagged: 0}", *untagged)) == [
        (True, "untagged for less than 10m (rule r)", "r"),
        (False, "untagged for 10m or more (rule r)", "r"),
    ]


def test_a_rule_that_keeps_untagged_manifests_for_ever_wins() -> None:
    rules = "{name: a, keep: always, untagged: 0s}, {name: b, keep: none, untagged: keep}"
    assert reasons(decide(rules, lost("x", 9))) == [(True, "rule b keeps untagged manifests", "b")]


def test_the_longest_untagged_time_of_several_rules_wins() -> None:
    rules = (
        "{name: a, keep: none, untagged: 1h}, {name: b, keep: none, untagged: 9h}, {name: c, keep: none, untagged: 3h}"
    )
    decided = decide(rules, lost("x", 2), lost("y", 9))
    assert {v.tag.digest: (v.kept, v.rule) for v in decided.untagged} == {
        digest_of("x"): (True, "b"),
        digest_of("y"): (False, "a"),
    }
    assert decided.next_us == us(NOW_S + 7 * HOUR)


def test_the_rules_for_the_last_tag_of_a_manifest_decide() -> None:
    rules = r"{name: pr, tags: pr-*, keep: none, untagged: 1h}, {name: g, group: '^(v)\d', keep: always, untagged: 2h}"
    decided = {name: reasons(decide(rules, lost("x", 5, name)))[0] for name in ("pr-1", "v1", "vx", "main")}
    assert decided == {
        "pr-1": (False, "untagged for 1h or more (rule pr)", "pr"),
        "v1": (False, "untagged for 2h or more (rule g)", "g"),
        "vx": SILENT,
        "main": SILENT,
    }


def test_later_rules_skip_the_manifests_that_tags_of_a_final_rule_lost() -> None:
    later = ", {keep: always, untagged: 1h}"
    assert reasons(decide("{tags: pr-*, final: true, keep: none}" + later, lost("x", 5, "pr-1"))) == [SILENT]
    assert not decide("{tags: pr-*, final: true, keep: none}" + later, lost("x", 5, "v1")).untagged[0].kept
    assert not decide("{tags: pr-*, keep: none}" + later, lost("x", 5, "pr-1")).untagged[0].kept


def test_a_final_rule_for_old_tags_leaves_manifests_of_younger_tags_to_later_rules() -> None:
    rules = "{older_than: 7d, final: true, keep: none}, {name: b, keep: always, untagged: 1h}"
    assert reasons(decide(rules, lost("x", 5))) == [(False, "untagged for 1h or more (rule b)", "b")]


def test_older_than_does_not_apply_to_a_manifest_that_lost_its_tag() -> None:
    assert not decide("{older_than: 90d, keep: none, untagged: 1h}", lost("x", 2)).untagged[0].kept


def test_rules_for_other_repositories_do_not_decide_about_untagged_manifests() -> None:
    assert reasons(decide("{repos: other, keep: none, untagged: 0s}", lost("x", 9))) == [SILENT]


@pytest.mark.parametrize(("sentence", "hours"), [("0s", 1), ("59m", 1), ("2h", 2)])
def test_a_manifest_that_never_had_a_tag_is_kept_for_an_hour(sentence: str, hours: int) -> None:
    rule = f"{{name: r, keep: always, untagged: {sentence}}}"
    assert reasons(decide(rule, lost("x", hours - 0.001, ""))) == [
        (True, f"untagged for less than {hours}h (rule r)", "r")
    ]
    assert reasons(decide(rule, lost("x", hours, ""))) == [(False, f"untagged for {hours}h or more (rule r)", "r")]


@pytest.mark.parametrize("more", ["tags: '*'", "tags: '**'", "older_than: 9d", "final: true"])
def test_rules_for_every_tag_decide_about_manifests_that_never_had_a_tag(more: str) -> None:
    assert not decide(f"{{{more}, keep: none, untagged: 0s}}", lost("x", 9, "")).untagged[0].kept


@pytest.mark.parametrize("more", ["tags: b*", "tags: ['!b*']", "group: '^(.)'"])
def test_rules_for_some_tags_do_not_decide_about_manifests_that_never_had_a_tag(more: str) -> None:
    assert reasons(decide(f"{{{more}, keep: none, untagged: 0s}}", lost("x", 9, ""))) == [SILENT]


def test_grace_is_the_shortest_time_for_untagged_manifests() -> None:
    decided = decide("{name: r, keep: always, untagged: 1h}", lost("x", 2), more="grace: 3h")
    assert reasons(decided) == [(True, "untagged for less than 3h (rule r)", "r")]
    assert decided.next_us == us(NOW_S + HOUR)


ALL = "{name: r, keep: none, untagged: 0s}"


def held(digest: str, **state: Any) -> str | None:
    """Return the reason why an old untagged manifest is kept under a rule that keeps none; None if it is deleted."""
    decided = decide(ALL, lost(digest, 99), **state)
    (verdict,) = (doomed for doomed in decided.untagged if doomed.tag.digest == digest_of(digest))
    assert verdict.kept is not any(doomed.digest == digest_of(digest) for doomed in decided.doomed)
    return verdict.reason if verdict.kept else None


def test_an_untagged_manifest_that_nothing_refers_to_is_deleted() -> None:
    assert held("x") is None
    assert held("x", links={digest_of("x"): References(children=(digest_of("y"),))}) is None


def test_a_part_of_an_index_is_kept_also_if_the_index_is_deleted() -> None:
    links = {digest_of("i"): References(children=(digest_of("x"),))}
    assert held("x", links=links) == f"it is part of the index {digest_of('i')}"
    decided = decide(ALL, lost("x", 99), lost("i", 99), links=links)
    assert [doomed.digest for doomed in decided.doomed] == [digest_of("i")]


def test_an_untagged_referrer_is_kept_with_its_subject() -> None:
    links = {digest_of("x"): References(subject=digest_of("y"))}
    assert held("x", links=links) == f"it belongs to {digest_of('y')} and is deleted only after it"


def test_an_untagged_manifest_that_cannot_be_read_is_kept() -> None:
    links = {digest_of("x"): References(readable=False)}
    assert held("x", links=links) == "its manifest cannot be read, so its layers and parts are unknown"


def test_an_untagged_index_that_was_not_read_is_reported_before_its_deletion() -> None:
    assert decide(ALL, lost("x", 99), links={digest_of("x"): None}).unresolved == (digest_of("x"),)


def test_a_manifest_that_is_tagged_again_has_no_untagged_verdict() -> None:
    decided = decide("{keep: always, untagged: 0s}", lost("x", 99), tags=[tag("v1", 1, "x")])
    assert (decided.untagged, decided.doomed) == ((), ())


def test_a_lease_keeps_an_untagged_manifest_until_it_ends() -> None:
    leased = {digest_of("x"): us(NOW_S + 5)}
    assert held("x", leased=leased) == "protected by a user"
    assert decide(ALL, lost("x", 99), leased=leased).next_us == us(NOW_S + 5)
    assert held("x", leased={digest_of("x"): us(NOW_S)}) is None


REVISED = "{name: r, keep: {last: 1, revisions: 2}, untagged: 0s}"


def revised(rules: str = REVISED, more: str = "", **state: Any) -> dict[str, str | None]:
    """Per overwritten digest of main why it is kept; None for those that go."""
    gone = [lost(name, 99, "main") for name in ("r1", "r2", "r3")]
    revisions = {"main": tuple(digest_of(name) for name in ("r1", "r2", "r3"))}
    tags = state.pop("tags", [tag("main", 9, "r0")])
    decided = decide(rules, *gone, more=more, tags=tags, revisions=revisions, **state)
    result = {verdict.tag.digest: verdict.reason if verdict.kept else None for verdict in decided.untagged}
    return {name: result[digest_of(name)] for name in ("r1", "r2", "r3")}


def test_the_last_overwritten_digests_of_a_kept_tag_are_kept() -> None:
    assert revised() == {
        "r1": "number 1 of the last 2 revisions of main (rule r)",
        "r2": "number 2 of the last 2 revisions of main (rule r)",
        "r3": None,
    }


def test_a_digest_waits_until_the_push_that_overwrote_it_may_have_pushed_more_than_one_part() -> None:
    rules = "{name: r, tags: main, keep: {revisions: 1}}, {name: all, keep: always, untagged: 0s}"
    lasts = [lost("a", 9 / 60, "main"), lost("b", 10 / 60, "main"), lost("c", 1, "other")]
    decided = decide(rules, *lasts, revisions={"main": (digest_of("part"), digest_of("a"), digest_of("b"))})
    assert {verdict.tag.digest: verdict.reason for verdict in decided.untagged} == {
        digest_of("a"): "untagged for less than 10m (rule all)",
        digest_of("b"): "untagged for 10m or more (rule all)",
        digest_of("c"): "untagged for 10m or more (rule all)",
    }
    assert decided.next_us == us(NOW_S + 60)


def test_a_digest_that_may_be_a_part_of_an_index_that_is_being_pushed_takes_no_place() -> None:
    rules = "{name: r, tags: main, keep: {revisions: 2}}, {name: all, keep: always, untagged: 1h}"
    lasts = [lost(name, hours, "main") for name, hours in (("part", 9 / 60), ("a", 5), ("b", 6), ("c", 7))]
    revisions = {"main": tuple(digest_of(name) for name in ("part", "a", "b", "c"))}
    decided = decide(rules, *lasts, revisions=revisions)
    assert {verdict.tag.digest: verdict.reason for verdict in decided.untagged} == {
        digest_of("part"): "number 1 of the last 2 revisions of main (rule r)",
        digest_of("a"): "number 1 of the last 2 revisions of main (rule r)",
        digest_of("b"): "number 2 of the last 2 revisions of main (rule r)",
        digest_of("c"): "untagged for 1h or more (rule all)",
    }
    assert decided.next_us == us(NOW_S + 60)


def test_a_part_that_another_tag_points_at_takes_no_place_either() -> None:
    rules = "{name: r, tags: main, keep: {revisions: 1}}, {name: all, keep: always, untagged: 1h}"
    revisions = {"main": (digest_of("part"), digest_of("a"))}
    for minutes, kept in ((9, True), (10, False)):
        tags = [tag("v1", NOW_S - minutes * 60, "part")]
        decided = decide(rules, lost("a", 5, "main"), tags=tags, revisions=revisions)
        assert [verdict.kept for verdict in decided.untagged] == [kept]


def test_the_newest_tag_of_a_part_says_how_long_it_takes_no_place() -> None:
    rules = "{name: r, tags: main, keep: {revisions: 1}}, {name: all, keep: always, untagged: 1h}"
    revisions = {"main": (digest_of("part"), digest_of("a"))}
    tags = [tag("v1", NOW_S - 9 * 60, "part"), tag("v2", NOW_S - 99 * 60, "part")]
    for ordered in (tags, tags[::-1]):
        decided = decide(rules, lost("a", 5, "main"), tags=ordered, revisions=revisions)
        assert [verdict.kept for verdict in decided.untagged] == [True]


def test_a_digest_that_another_tag_lost_last_waits_as_well() -> None:
    rules = "{name: r, tags: main, keep: {revisions: 1}}, {name: all, keep: always, untagged: 0s}"
    revisions = {"main": tuple(map(digest_of, ("new", "x")))}
    for minutes, kept in ((9, True), (10, False)):
        decided = decide(rules, lost("x", minutes / 60, "v1"), revisions=revisions)
        assert [verdict.kept for verdict in decided.untagged] == [kept]


def test_indexes_among_many_revisions_are_read_because_the_others_may_be_their_parts() -> None:
    for count, unread in ((50, ()), (51, (digest_of("i"),))):
        digests = tuple(map(digest_of, ["i", *map(str, range(count - 1))]))
        links = {digest_of("i"): None, digest_of("j"): None}
        decided = decide("{keep: {revisions: 1}}", revisions={"main": digests}, links=links)
        assert decided.unresolved == unread


def test_revisions_are_counted_for_each_tag() -> None:
    revisions = {"a": (digest_of("x"),), "b": (digest_of("y"), digest_of("x"))}
    decided = decide("{keep: {revisions: 1}, untagged: 0s}", lost("x", 9, "b"), lost("y", 9, "b"),
                     tags=[tag("a", 1), tag("b", 2)], revisions=revisions)  # fmt: skip
    assert sorted(verdict.reason for verdict in decided.untagged) == [
        "the last revision of a (rule #1)",
        "the last revision of b (rule #1)",
    ]


def test_no_revision_of_a_deleted_tag_is_kept() -> None:
    assert set(revised(tags=[tag("main", 9, "r0"), tag("newer", 10)]).values()) == {None}


def test_revisions_of_a_tag_that_the_registry_does_not_list_now_are_kept() -> None:
    assert revised(tags=[])["r2"] == "number 2 of the last 2 revisions of main (rule r)"


def test_the_rules_for_the_name_of_a_protected_tag_keep_its_revisions() -> None:
    assert revised(more="protect: main")["r2"] == "number 2 of the last 2 revisions of main (rule r)"


def test_the_largest_number_of_revisions_counts() -> None:
    result = revised("{keep: {revisions: 1}, untagged: 0s}, {name: b, keep: {last: 1, revisions: 3}}, {keep: always}")
    assert result["r1"] == "the last revision of main (rule #1)"
    assert result["r3"] == "number 3 of the last 3 revisions of main (rule b)"


def test_a_rule_for_other_tags_keeps_no_revision() -> None:
    assert set(revised("{tags: v*, keep: {revisions: 3}}, {keep: always, untagged: 0s}").values()) == {None}
    assert set(revised("{tags: m*, final: true, untagged: 0s, keep: always}, {keep: {revisions: 3}}").values()) == {
        None
    }


def test_a_rule_for_older_tags_keeps_revisions_at_any_age() -> None:
    assert revised("{older_than: 9000h, keep: {revisions: 1}, untagged: 0s}")["r1"] is not None


# What belonged to something that went


def part(digest: str, index: str = "i", tag: str = "b1", hours: float = 0) -> Untagged:
    """A part of an index that was seen to go."""
    return Untagged(digest_of(digest), us(NOW_S - hours * HOUR), tag, index=digest_of(index))


def taken(digest: str, tag: str = "b1") -> Untagged:
    """A manifest whose last tag the policy took off."""
    return Untagged(digest_of(digest), us(NOW_S), tag, by_pushprune=True)


@pytest.mark.parametrize(
    "rule", ["keep: always", "keep: always, untagged: keep", "tags: v*, keep: always, untagged: 9h"]
)
@pytest.mark.parametrize("lost_tag", ["b1", ""])
def test_the_parts_of_an_index_that_is_gone_are_deleted_at_once(rule: str, lost_tag: str) -> None:
    (doomed,) = decide(f"{{name: r, {rule}}}", part("x", tag=lost_tag), more="grace: 9h").doomed
    (verdict,) = doomed.verdicts
    assert (doomed.digest, doomed.tags, doomed.only_tags) == (digest_of("x"), (), False)
    assert (verdict.reason, verdict.rule) == (f"the index {digest_of('i')} was deleted", "r")
    assert (verdict.follows, verdict.after, verdict.recorded) == (True, digest_of("i"), False)


@pytest.mark.parametrize(
    "rule", ["keep: always", "keep: always, untagged: keep", "tags: v*, keep: always, untagged: 9h"]
)
def test_a_manifest_is_deleted_at_once_with_the_last_of_its_tags(rule: str) -> None:
    (doomed,) = decide(f"{{name: r, {rule}}}", taken("x")).doomed
    (verdict,) = doomed.verdicts
    assert (doomed.digest, verdict.reason, verdict.rule) == (digest_of("x"), "its last tag b1 was deleted", "r")
    assert (verdict.follows, verdict.after, verdict.recorded) == (True, "", True)


def test_parts_and_referrers_are_kept_in_a_repository_without_rules() -> None:
    assert reasons(decide("{repos: other, keep: none, untagged: 0s}", part("x"), taken("y"))) == [SILENT, SILENT]
    assert decide("{repos: other, keep: none}", part("x"), taken("y")).doomed == ()


def test_parts_and_referrers_do_not_count_towards_a_hold() -> None:
    decided = decide("{keep: always}", part("x"), taken("y"), more="hold_over: 0%\nhold_min: 0")
    assert (len(decided.doomed), decided.hold) == (2, None)


def unless(item: Untagged, rules: str = "{keep: always}", **state: Any) -> str | None:
    """Return the reason why a follower is kept; None if it is deleted. A tag exists beside it, at another digest."""
    assert not decide(rules, item).untagged[0].kept
    (verdict,) = (rule for rule in decide(rules, item, **state).untagged if rule.tag.digest == item.digest)
    return verdict.reason if verdict.kept else None


@pytest.mark.parametrize("item", [part("x"), taken("x")])
def test_parts_and_referrers_are_kept_while_anything_keeps_them(item: Untagged) -> None:
    listed = {digest_of("other"): References(children=(digest_of("x"),))}
    assert unless(item, links=listed) == f"it is part of the index {digest_of('other')}"
    assert unless(item, links={digest_of("x"): References(readable=False)}) == (
        "its manifest cannot be read, so its layers and parts are unknown"
    )
    leased = {digest_of("x"): us(NOW_S + 1)}
    assert unless(item, leased=leased) == "protected by a user"
    assert decide("{keep: always}", item, leased=leased).next_us == us(NOW_S + 1)
    revised: dict[str, Any] = {"tags": [tag("main", 1)], "revisions": {"main": (digest_of("x"),)}}
    assert unless(item, "{name: r, keep: {last: 1, revisions: 1}}", **revised) == ("the last revision of main (rule r)")
    assert decide("{keep: none}", item, tags=[tag("main", 1, "x")]).untagged == ()


@pytest.mark.parametrize(
    "back",
    [
        {"links": {digest_of("i"): None}},
        {"links": {digest_of("i"): References(children=(digest_of("y"),))}},
        {"tags": [tag("v1", 1, "i")]},
        {"links": {digest_of("outer"): References(children=(digest_of("i"),))}},
    ],
)
def test_a_part_is_kept_where_its_index_may_be_back(back: dict[str, Any]) -> None:
    assert unless(part("x"), **back) == f"it is part of the index {digest_of('i')}"
    assert unless(taken("x"), **back) is None


def test_a_part_is_kept_where_its_index_is_there_without_a_tag() -> None:
    decided = decide("{keep: always, untagged: 9h}", part("x"), lost("i", 1))
    assert decided.doomed == ()
