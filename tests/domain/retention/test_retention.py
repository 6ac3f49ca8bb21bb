"""Retention: kept and deleted tags, and the sentence with the reason. Numbers are those of the policy language."""

from dataclasses import replace

import pytest

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention.plan import Doomed, Plan
from service.domain.retention.state import Tag, Untagged, is_referrer_tag
from tests.support.makers import digest_of, planned, policy, tag, us

NOW = us(1_000_000)
LAST_2 = policy("rules: [{name: newest, keep: {last: 2}}]")
NONE = policy("rules: [{name: empty, keep: none}]")


def decide(tags: list[Tag], rules: Policy, repository: str = "shop/api", **more: object) -> Plan:
    return planned(tags, rules, NOW, repository, **more)


def kept(decided: Plan) -> list[str]:
    return [verdict.tag.name for verdict in decided.verdicts if verdict.kept]


def gone(decided: Plan) -> list[str]:
    return [verdict.tag.name for verdict in decided.verdicts if not verdict.kept]


def reasons(decided: Plan) -> dict[str, tuple[str, str | None]]:
    return {verdict.tag.name: (verdict.reason, verdict.rule) for verdict in decided.verdicts}


def builds(count: int, first: int = 1) -> list[Tag]:
    """b1, b2, …: each pushed a second after the one before."""
    return [tag(f"b{number}", pushed=number) for number in range(first, first + count)]


# What no rule selects is kept.


def test_a_repository_that_no_rule_matches_is_untouched() -> None:
    rules = policy("rules: [{repos: shop/*, keep: none}]")
    assert kept(decide(builds(3), rules, "other")) == ["b3", "b2", "b1"]
    assert gone(decide(builds(3), rules, "shop/api")) == ["b3", "b2", "b1"]


def test_no_tags_make_an_empty_plan() -> None:
    plan = decide([], NONE)
    assert (plan.doomed, plan.verdicts, plan.hold) == ((), (), None)


# Every rule has a say; one keep wins.


def test_a_single_keep_wins_over_any_number_of_deletes() -> None:
    rules = policy("""
        rules:
        - {name: empty, keep: none}
        - {name: releases, tags: v*, keep: always}
        - {name: newest, keep: {last: 1}}
    """)
    decided = decide([tag("v1", 1), tag("b1", 2), tag("b2", 3)], rules)
    assert reasons(decided) == {
        "b2": ("the newest (rule newest)", "newest"),
        "b1": ("rule empty keeps none", "empty"),
        "v1": ("rule releases keeps all it selects", "releases"),
    }


def test_the_first_rule_against_a_tag_gives_the_reason() -> None:
    rules = policy("rules: [{name: newest, keep: {last: 1}}, {name: empty, tags: b*, keep: none}]")
    assert reasons(decide(builds(2), rules))["b1"] == ("older than the newest (rule newest)", "newest")


def test_a_rule_without_a_name_is_named_by_its_number() -> None:
    rules = policy("rules: [{repos: other, keep: none}, {keep: {last: 1}}]")
    assert [verdict.rule for verdict in decide(builds(2), rules).verdicts] == ["#2", "#2"]


# Protected tags and young pushes are kept.


def test_protected_tags_are_kept_and_take_no_place() -> None:
    rules = policy("protect: [latest, stable]\nrules: [{name: newest, keep: {last: 2}}]")
    decided = decide([*builds(3), tag("latest", 9), tag("stable", 0)], rules)
    assert kept(decided) == ["latest", "b3", "b2", "stable"]
    assert reasons(decided)["latest"] == ("protected by the policy", None)


def test_a_name_under_protect_protects_only_the_tag_of_exactly_this_name() -> None:
    rules = policy("protect: latest\nrules: [{keep: none}]")
    assert gone(decide([tag("latest-1", 1), tag("Latest", 2)], rules)) == ["Latest", "latest-1"]


GRACE = policy("grace: 1m\nrules: [{name: empty, keep: none}]")


def test_a_push_younger_than_the_grace_is_kept_until_the_grace_ends() -> None:
    tags = [tag("young", pushed=1_000_000 - 59), tag("old", pushed=1_000_000 - 60)]
    decided = decide(tags, GRACE)
    assert reasons(decided) == {
        "young": ("pushed less than 1m ago (grace)", "empty"),
        "old": ("rule empty keeps none", "empty"),
    }
    assert decided.next_us == us(1_000_001)
    assert gone(planned([*tags, tag("last", 1_000_001)], GRACE, us(1_000_001))) == ["young", "old"]


def test_the_last_push_may_be_a_part_of_an_index_that_follows() -> None:
    tags = [tag("last", pushed=1_000_000 - 599), tag("before", pushed=1_000_000 - 600)]
    decided = decide(tags, policy("rules: [{name: r, keep: none}]"))
    assert reasons(decided) == {
        "last": ("the last push, less than 10m ago: it may be a part of an index", "r"),
        "before": ("rule r keeps none", "r"),
    }
    assert decided.next_us == us(1_000_001)
    assert gone(planned(tags, policy("rules: [{keep: none}]"), us(1_000_001))) == ["last", "before"]


@pytest.mark.parametrize("is_found", [False, True])
def test_the_last_push_may_be_a_part_of_an_index_also_if_the_first_comparison_found_it(is_found: bool) -> None:
    tags = [tag("before", 999_990), tag("last", 999_995, found=is_found), tag("unknown", 999_999, unannounced=True)]
    assert kept(decide(tags, NONE)) == ["last"]


def test_the_plan_changes_next_when_the_first_grace_ends() -> None:
    assert decide([tag("a", 999_990), tag("b", 999_980), tag("c", 999_999)], GRACE).next_us == us(999_980 + 60)


def test_a_tag_pushed_in_the_future_is_within_the_grace() -> None:
    decided = decide([tag("ahead", pushed=1_000_500)], GRACE)
    assert (kept(decided), decided.next_us) == (["ahead"], us(1_000_560))


@pytest.mark.parametrize(
    "text",
    [
        "grace: 1m\nrules: [{keep: always}]",
        "grace: 1m\nrules: [{repos: other, keep: none}]",
        "grace: 1m\nprotect: '*'\nrules: [{keep: none}]",
    ],
)
def test_time_changes_nothing_if_no_grace_decides(text: str) -> None:
    assert decide([tag("young", pushed=999_999)], policy(text)).next_us is None


def test_a_push_within_the_grace_takes_its_place() -> None:
    rules = policy("grace: 1m\nrules: [{keep: {last: 1}}]")
    decided = decide([tag("new", 999_999), tag("also-new", 999_998), tag("old", 1)], rules)
    assert (kept(decided), gone(decided)) == (["new", "also-new"], ["old"])


# `last` counts within repository and rule, over what the rule selects.


def test_the_last_n_pushed_are_kept_in_whatever_order_their_names_are() -> None:
    decided = decide([tag("z", 1), tag("1.10", 2), tag("1.9", 3), tag("a", 4)], LAST_2)
    assert reasons(decided) == {
        "a": ("number 1 of the newest 2 (rule newest)", "newest"),
        "1.9": ("number 2 of the newest 2 (rule newest)", "newest"),
        "1.10": ("older than the newest 2 (rule newest)", "newest"),
        "z": ("older than the newest 2 (rule newest)", "newest"),
    }


def test_each_rule_counts_only_the_tags_that_it_selects() -> None:
    rules = policy("rules: [{tags: a*, keep: {last: 1}}, {tags: b*, keep: {last: 1}}]")
    decided = decide([tag("a1", 1), tag("b1", 2), tag("a2", 3), tag("b2", 4), tag("c", 5)], rules)
    assert gone(decided) == ["b1", "a1"]


def test_every_tag_takes_a_place_if_tags_are_counted() -> None:
    rules = policy("rules: [{name: newest, count: tags, keep: {last: 2}}]")
    decided = decide([tag("b1", 1), tag("b2", 2), tag("x1", 3, "x"), tag("x2", 4, "x")], rules)
    assert (kept(decided), gone(decided)) == (["x2", "x1"], ["b2", "b1"])


# Order is the time of the push, then the name.


def test_a_repush_makes_a_tag_new_again() -> None:
    first, second, third = builds(3)
    assert gone(decide([first, second, third], LAST_2)) == ["b1"]
    assert gone(decide([replace(first, pushed_us=us(9)), second, third], LAST_2)) == ["b2"]


def test_tags_of_the_same_date_are_all_kept_in_the_order_of_any_input() -> None:
    tags = [tag(name, 1) for name in ("c", "a", "d", "b")]
    assert kept(decide(tags, LAST_2)) == kept(decide(tags[::-1], LAST_2)) == ["a", "b", "c", "d"]
    plan = decide([*tags, tag("new", 2), tag("old", 0)], LAST_2)
    assert kept(plan) == ["new", "a", "b", "c", "d"]
    assert {verdict.tag.name: verdict.unknown_age for verdict in plan.verdicts if verdict.unknown_age} == {
        "b": "tied", "c": "tied", "d": "tied",
    }  # fmt: skip


def test_a_tag_of_unknown_age_is_kept_and_takes_no_place() -> None:
    tags = [
        tag("a", 3),
        tag("b", 2),
        tag("c", 1),
        replace(tag("x", 9), unannounced=True),
        replace(tag("y", 9), unannounced=True),
    ]
    plan = decide(tags, LAST_2)
    assert kept(plan) == ["x", "y", "a", "b"]
    assert {verdict.tag.name: verdict.unknown_age for verdict in plan.verdicts if verdict.unknown_age} == {
        "x": "undated", "y": "undated",
    }  # fmt: skip


def test_a_tag_whose_push_was_not_reported_is_kept_and_takes_no_place() -> None:
    decided = decide([tag("found", pushed=None), *builds(3)], LAST_2)
    assert gone(decided) == ["b1"]
    assert reasons(decided)["found"] == ("push time unknown (imported); creation date not read yet", None)


@pytest.mark.parametrize("count", ["digests", "tags"])
def test_an_image_that_another_tag_of_unknown_push_time_has_may_be_the_newest(count: str) -> None:
    tags = [tag("again", None, "x"), tag("b", 3, "x"), tag("c", 4), tag("d", 1)]
    plan = decide(tags, policy(f"rules: [{{keep: {{last: 1}}, count: {count}}}]"))
    assert kept(plan) == (["c", "b", "again"] if count == "digests" else ["c", "again"])
    assert {verdict.tag.name: verdict.unknown_age for verdict in plan.verdicts if verdict.unknown_age} == (
        {"b": "undated"} if count == "digests" else {}
    )


@pytest.mark.parametrize("count", ["digests", "tags"])
def test_a_tag_is_kept_while_a_newer_tag_of_its_image_is_missing_at_the_registry(count: str) -> None:
    tags = [tag("v1", 1, "x"), tag("v2", 3), tag("v3", 5, "x"), tag("v4", 6)]
    rules = policy(f"rules: [{{keep: {{last: 2}}, count: {count}}}]")
    decided = decide(tags, rules, lost=frozenset({"v3"}))
    assert gone(decided) == ([] if count == "digests" else ["v1"])


def test_an_image_waits_only_for_tags_that_the_rule_counts() -> None:
    tags = [tag("other", None, "x"), tag("v1", 3, "x"), tag("v2", 4)]
    assert gone(decide(tags, policy("rules: [{tags: 'v*', keep: {last: 1}, count: digests}]"))) == ["v1"]
    assert gone(decide(tags, policy("{protect: [other], rules: [{keep: {last: 1}, count: digests}]}"))) == ["v1"]


def test_a_tag_of_unknown_push_time_may_be_too_young_for_a_final_rule() -> None:
    tags = [tag("again", None, "x"), tag("b", 3, "x"), tag("c", 4)]
    final = "{tags: again, older_than: 1d, keep: always, final: true}"
    assert gone(decide(tags, policy(f"rules: [{final}, {{keep: {{last: 1}}, count: digests}}]"))) == []


def test_the_date_of_a_tag_that_is_kept_anyway_is_read_if_its_image_waits_for_it() -> None:
    tags = [tag("again", None, "x"), tag("b", 3, "x"), tag("c", 4)]
    rules = policy("rules: [{tags: again, keep: always}, {keep: {last: 1}, count: digests}]")
    plan = decide(tags, rules)
    assert (kept(plan), plan.unseen) == (["c", "b", "again"], (digest_of("x"),))
    alone = decide([tag("again", None, "y"), *tags[1:]], rules)
    assert (gone(alone), alone.unseen) == (["b"], ())


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("", "no rule selects it"),
        ("rules: [{name: releases, tags: 'v*', keep: {last: 1}}]", "no rule selects it"),
        ("rules: [{name: all, keep: always}]", "push time unknown (imported); no rule needs it yet"),
        ("rules: [{name: ten, keep: {last: 10}}]", "push time unknown (imported); no rule needs it yet"),
    ],
)
def test_no_creation_date_is_awaited_that_no_rule_needs(rules: str, reason: str) -> None:
    decided = decide([tag("found", pushed=None), *builds(3)], policy(rules))
    assert reasons(decided)["found"] == (reason, None)
    assert not decided.undated


# A tag whose digest is kept under another tag goes alone.


SHARED = [tag("latest", 1, "x"), tag("v1", 2, "x"), tag("v2", 3), tag("v0", 0, "x")]
SHARING = policy("protect: latest\nrules: [{name: empty, keep: none}]")
WHOLE = SHARING.model_copy(update={"shared": "keep"})


def test_a_tag_that_shares_a_kept_digest_is_deleted_alone() -> None:
    decided = decide(SHARED, SHARING)
    assert gone(decided) == ["v2", "v1", "v0"]
    assert [(doomed.tags, doomed.only_tags) for doomed in decided.doomed] == [(("v2",), False), (("v1", "v0"), True)]
    assert reasons(decided)["v1"] == ("rule empty keeps none; its image is kept as latest", "empty")
    assert [verdict.kept_as for verdict in decided.verdicts] == ["", "latest", "", "latest"]


def test_with_shared_keep_a_tag_that_shares_a_kept_digest_is_kept() -> None:
    decided = decide(SHARED, WHOLE)
    assert gone(decided) == ["v2"]
    assert reasons(decided)["v1"] == ("its image is kept as latest (shared: keep)", "empty")
    assert [(doomed.tags, doomed.only_tags) for doomed in decided.doomed] == [(("v2",), False)]


def test_the_reason_names_the_first_tag_that_keeps_a_shared_digest() -> None:
    rules = policy("protect: [b, c]\nrules: [{keep: none}]")
    assert reasons(decide([tag("c", 1, "x"), tag("a", 2, "x"), tag("b", 3, "x")], rules))["a"] == (
        "rule #1 keeps none; its image is kept as b",
        "#1",
    )


REVISED = policy("rules: [{tags: v*, keep: none}, {tags: main, keep: {last: 1, revisions: 1}}]")


def test_a_tag_whose_digest_is_a_kept_revision_of_another_is_deleted_alone() -> None:
    decided = decide([tag("v1", 1, "x"), tag("main", 2)], REVISED, revisions={"main": (digest_of("x"),)})
    assert reasons(decided)["v1"] == ("rule #1 keeps none; its image is kept as a revision of main", "#1")
    assert [(doomed.tags, doomed.only_tags) for doomed in decided.doomed] == [(("v1",), True)]


def test_with_shared_keep_a_tag_whose_digest_is_a_kept_revision_is_kept() -> None:
    message = REVISED.model_copy(update={"shared": "keep"})
    decided = decide([tag("v1", 1, "x"), tag("main", 2)], message, revisions={"main": (digest_of("x"),)})
    assert (decided.doomed, reasons(decided)["v1"][0]) == ((), "its image is kept as a revision of main (shared: keep)")


@pytest.mark.parametrize(
    ("tags", "revisions"),
    [
        ([tag("main", 2)], {"main": (digest_of("y"), digest_of("x"))}),
        ([tag("main", 2)], {"v2": (digest_of("x"),)}),
        ([tag("v2", 2)], {"v2": (digest_of("x"),)}),
    ],
)
def test_a_revision_that_is_not_kept_keeps_no_tag(tags: list[Tag], revisions: dict[str, tuple[str, ...]]) -> None:
    decided = decide([tag("v1", 1, "x"), *tags], REVISED, revisions=revisions)
    assert [doomed.only_tags for doomed in decided.doomed if "v1" in doomed.tags] == [False]


def test_a_revision_of_a_deleted_tag_keeps_no_tag() -> None:
    rules = policy("rules: [{tags: v*, keep: none}, {tags: m*, keep: {last: 1, revisions: 1}}]")
    tags = [tag("v1", 1, "x"), tag("main", 2), tag("more", 3)]
    decided = decide(tags, rules, revisions={"main": (digest_of("x"),)})
    assert [(doomed.tags, doomed.only_tags) for doomed in decided.doomed] == [(("main",), False), (("v1",), False)]


def test_a_tag_that_is_deleted_alone_loses_its_revisions_and_one_that_is_kept_with_its_image_keeps_them() -> None:
    """other keeps main's image; main's past holds v1's image, and one that has no tag."""
    rules = policy("""
        protect: other
        rules:
        - {tags: v*, keep: none}
        - {tags: main, keep: {pushed_within: 1s, revisions: 2}, untagged: 0s}
    """)
    tags = [tag("v1", 1, "x"), tag("main", 2, "y"), tag("other", 3, "y")]
    past = {"main": (digest_of("x"), digest_of("z"))}
    lost = (Untagged(digest_of("z"), us(0), "main"),)
    decided = decide(tags, rules, revisions=past, untagged=lost)
    assert [(doomed.tags, doomed.only_tags) for doomed in decided.doomed] == [
        (("main",), True),
        (("v1",), False),
        ((), False),
    ]
    decided = decide(tags, rules.model_copy(update={"shared": "keep"}), revisions=past, untagged=lost)
    assert decided.doomed == ()
    assert reasons(decided)["v1"] == ("its image is kept as a revision of main (shared: keep)", "#1")
    assert decided.untagged[0].reason == "number 2 of the last 2 revisions of main (rule #2)"


def test_a_tag_that_is_deleted_alone_counts_towards_a_hold() -> None:
    rules = policy("protect: latest\nhold_over: 0%\nhold_min: 1\nrules: [{keep: none}]")
    assert decide(SHARED, rules).hold == "it would delete 3 of 4 tags, more than 0% (hold_over)"


def test_no_tag_of_a_leased_image_is_deleted() -> None:
    leased = {digest_of("x"): NOW + 1}
    assert gone(decide(SHARED, SHARING, leased=leased)) == ["v2"]
    assert gone(decide(SHARED, SHARING, leased={digest_of("x"): NOW})) == ["v2", "v1", "v0"]


def test_the_tags_of_a_doomed_digest_are_deleted_together() -> None:
    decided = decide([tag("a", 1, "x"), tag("b", 2, "x"), tag("c", 3)], NONE)
    assert [(doomed.digest, [v.tag.name for v in doomed.verdicts]) for doomed in decided.doomed] == [
        (digest_of("c"), ["c"]),
        (digest_of("x"), ["b", "a"]),
    ]
    assert decided.doomed[0] == Doomed(digest_of("c"), (decided.verdicts[0],))


# Larger plans wait for approval.


@pytest.mark.parametrize(
    ("hold_over", "hold_min", "held"),
    [
        (50, 0, True),
        (59, 0, True),
        (60, 0, False),
        (100, 0, False),
        (0, 5, True),
        (0, 6, False),
        (50, 20, False),
    ],
)
def test_a_plan_that_removes_too_much_is_held(hold_over: int, hold_min: int, held: bool) -> None:
    rules = policy(f"hold_over: {hold_over}%\nhold_min: {hold_min}\nrules: [{{keep: {{last: 4}}}}]")
    decided = decide(builds(10), rules)
    assert len(gone(decided)) == 6
    reason = f"it would delete 6 of 10 tags, more than {hold_over}% (hold_over)"
    assert decided.hold == (reason if held else None)


def held_again(*going: str, waiting: tuple[str, ...] = (), approved: tuple[str, ...] = ()) -> str | None:
    """Return the reason of the hold for a small plan over these of ten tags, if a plan for those already waits."""
    rules = policy(f"hold_over: 90%\nrules: [{{tags: [{', '.join(going)}], keep: none}}]")
    tags = [tag(f"t{number}", number) for number in range(10)]
    held, ok = (frozenset(digest_of(name) for name in names) for names in (waiting, approved))
    return decide(tags, rules, held=held, held_under=rules.fingerprint(), approved=ok).hold


def test_an_image_that_waits_keeps_waiting_whatever_share_its_plan_has_now() -> None:
    reason = "it would delete 2 of 10 tags; 1 image of an earlier plan still waits for approval (a push is no approval)"
    assert held_again("t1", "t2", waiting=("t1",)) == reason


def test_a_hold_ends_once_none_of_it_is_still_to_be_deleted() -> None:
    assert held_again("t1", "t2", waiting=("t3", "t4")) is None


def test_a_hold_ends_once_all_of_it_that_is_still_to_be_deleted_is_approved() -> None:
    assert held_again("t1", "t2", waiting=("t1", "t3"), approved=("t1",)) is None


def test_a_hold_is_the_policys_that_made_it() -> None:
    rules = policy("hold_over: 90%\nrules: [{keep: none}]")
    waiting = frozenset({digest_of("a")})
    tags = [tag("a", 1), tag("b", 2)]
    assert decide(tags, rules, held=waiting, held_under=rules.fingerprint()).hold is not None
    other = rules.model_copy(update={"hold_over": 91})
    assert decide(tags, other, held=waiting, held_under=rules.fingerprint()).hold is None


@pytest.mark.parametrize("untagged_going", [0, 1])
def test_manifests_without_a_tag_do_not_dilute_a_hold_on_tags(untagged_going: int) -> None:
    """21 of 40 tags are more than half of them, whatever else there is in the repository."""
    rules = policy("""
        rules:
        - {tags: old*, keep: none, untagged: 1d}
        - {tags: new*, keep: always, untagged: keep}
    """)
    tags = [tag(f"{'old' if number < 21 else 'new'}{number}", number) for number in range(40)]
    untagged = [Untagged(digest_of(f"kept {number}"), NOW, f"new{number}") for number in range(100)]
    untagged += [Untagged(digest_of(f"gone {number}"), 1, "old1") for number in range(untagged_going)]
    decided = decide(tags, rules, untagged=tuple(untagged))
    assert len(decided.doomed) == 21 + untagged_going
    assert str(decided.hold).startswith("it would delete 21 of 40 tags")


def test_an_approved_image_does_not_count_towards_a_hold() -> None:
    rules = policy("hold_over: 0%\nhold_min: 1\nrules: [{keep: none}]")
    tags = [tag("a", 1, "x"), tag("b", 2, "x"), tag("c", 3)]
    assert decide(tags, rules).hold == "it would delete 3 of 3 tags, more than 0% (hold_over)"
    assert decide(tags, rules, approved=frozenset({digest_of("x")})).hold is None
    assert gone(decide(tags, rules, approved=frozenset({digest_of("x")}))) == ["c", "b", "a"]


def test_the_plan_of_a_dry_run_is_the_plan() -> None:
    assert decide(builds(5), policy("dry_run: true\nrules: [{name: newest, keep: {last: 2}}]")) == decide(
        builds(5), LAST_2
    )


@pytest.mark.slow
def test_ten_thousand_tags_are_planned() -> None:
    decided = decide(builds(10_000), policy("rules: [{name: newest, tags: 're:^b\\d+$', keep: {last: 10}}]"))
    assert kept(decided) == [f"b{number}" for number in range(10_000, 9_990, -1)]
    assert len(decided.doomed) == 9_990
    assert decided.hold == "it would delete 9990 of 10000 tags, more than 50% (hold_over)"


def test_links_of_other_digests_change_nothing() -> None:
    links = {digest_of("elsewhere"): References(children=(digest_of("other"),))}
    assert decide(builds(5), LAST_2, links=links) == decide(builds(5), LAST_2)


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        ("sha256-" + "a" * 64, True),
        ("sha256-" + "a" * 64 + ".sig", True),
        ("sha256-" + "a" * 64 + ".att", True),
        ("sha256-" + "a" * 64 + ".sbom", True),
        ("sha256-" + "a" * 63 + ".sig", False),
        ("sha256-" + "A" * 64, False),
        ("xsha256-" + "a" * 64, False),
        ("v1.sig", False),
        ("sha256-" + "a" * 64 + "\n", False),
    ],
)
def test_a_referrers_tag_is_told_by_its_name(name: str, belongs: bool) -> None:
    assert is_referrer_tag(name) is belongs
