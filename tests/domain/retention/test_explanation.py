"""Explanations: the result of every rule for a tag, other holders of its digest, and the time of its deletion."""

from typing import Any

import pytest
from hypothesis import given

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention import explanation, planner
from service.domain.retention.conditions import RuleResult
from service.domain.retention.explanation import Explanation, with_hold
from service.domain.retention.state import State, Tag, UnapprovedTags
from tests.domain.retention.strategies import NOW, STATES, boundaries, policies
from tests.support.examples import examples
from tests.support.makers import DAY, NOW_S, digest_of, explain, old, policy, tag, us

KEEP = "shared: keep\n"


def explained(name: str, sentence: str, *tags: Tag, **more: Any) -> Explanation:
    state = State(repository="shop/api", tags=tags, **more)
    (rules,) = explain(state, policy(sentence), us(NOW_S), (name,))
    return rules


def in_days(name: str, sentence: str, *tags: Tag, **more: Any) -> float | None:
    earliest_deletion_us = explained(name, sentence, *tags, **more).earliest_deletion_us
    return None if earliest_deletion_us is None else (earliest_deletion_us - us(NOW_S)) / 1_000_000 / DAY


SEVERAL = """
    rules:
    - {name: n, keep: {last: 1}}
    - {name: v, tags: v*, keep: {pulled_within: 30d}}
    - {name: other, tags: b*, keep: always}
"""


def test_every_rule_that_selects_a_tag_has_its_result() -> None:
    result = explained("v1", SEVERAL, old("v2", 1), old("v1", 2), old("b1", 3))
    assert result.rule_results == (
        RuleResult("n", False, "older than the newest (rule n)", place=2, limit=1),
        RuleResult("v", True, "pushed within 30d, which counts as a pull (rule v)", us(NOW_S + 28 * DAY)),
    )
    assert (result.verdict.kept, result.verdict.rule, result.verdict.tag.name) == (True, "v", "v1")
    assert (result.shares, result.index) == ((), None)


def test_the_tags_of_a_waiting_plan_are_held_and_kept_tags_are_not() -> None:
    state = State(repository="shop/api", tags=(old("a", 1), old("b", 2), old("c", 3)))
    rules = explain(state, policy("rules: [{keep: {last: 1}}]"), us(NOW_S))
    held = with_hold(rules, (digest_of("a"), digest_of("b")), "too many")
    assert [(item.verdict.tag.name, item.held) for item in held] == [("a", None), ("b", "too many"), ("c", None)]


def test_no_rule_has_a_result_for_what_none_of_them_decides() -> None:
    message = "protect: latest\n" + "rules: [{keep: none}]"
    assert explained("latest", message, old("latest", 1)).rule_results == ()
    assert explained("x", "rules: [{tags: v*, keep: none}]", old("x", 1)).rule_results == ()


def test_a_rule_behind_a_final_one_has_none() -> None:
    message = "rules: [{name: a, keep: none, final: true}, {name: b, keep: always}]"
    assert [result.rule for result in explained("x", message, old("x", 1)).rule_results] == ["a"]


def test_the_other_tags_of_its_digest_are_shown_by_name() -> None:
    tags = (old("c", 1, "x"), old("b", 2, "x"), old("a", 3, "x"))
    shares = {
        shared: [
            (verdict.tag.name, verdict.reason)
            for verdict in explained("b", f"shared: {shared}\nprotect: c\nrules: [{{keep: none}}]", *tags).shares
        ]
        for shared in ("untag", "keep")
    }
    protected = ("c", "protected by the policy")
    assert shares == {
        "untag": [("a", "rule #1 keeps none; its image is kept as c"), protected],
        "keep": [("a", "its image is kept as c (shared: keep)"), protected],
    }


def test_the_index_of_a_part_is_shown() -> None:
    links = {digest_of("i"): References(children=(digest_of("x"),))}
    assert explained("x", "rules: [{keep: none}]", old("x", 1), links=links).index == digest_of("i")


def test_names_that_are_no_tags_are_left_out_and_the_newest_push_comes_first() -> None:
    state = State(repository="shop/api", tags=(old("a", 3), old("b", 1), old("c", 2)))
    rules = policy("rules: [{keep: none}]")
    assert [each.verdict.tag.name for each in explain(state, rules, us(NOW_S), ("a", "gone", "b", "a"))] == ["b", "a"]
    assert [each.verdict.tag.name for each in explain(state, rules, us(NOW_S))] == ["b", "c", "a"]
    assert explain(state, rules, us(NOW_S), ()) == ()


def test_a_deletion_waits_for_grace_and_a_lease() -> None:
    assert in_days("x", "grace: 9d\nrules: [{keep: none}]", old("x", 3)) == 6
    assert in_days("x", "rules: [{keep: none}]", old("x", 3), leased={digest_of("x"): us(NOW_S + 5 * DAY)}) == 5
    image = {digest_of("x"): References(children=(digest_of("amd64"),))}
    leased = {digest_of("amd64"): us(NOW_S + 5 * DAY)}
    for rules in ("rules: [{keep: none}]", "rules: [{keep: none, older_than: 1d}]"):
        assert in_days("x", rules, old("x", 3), links=image, leased=leased) == 5


def test_a_deletion_waits_for_the_other_tags_of_its_digest_only_if_the_policy_says_so() -> None:
    rules = "rules: [{keep: none}, {tags: y*, keep: {pushed_within: 30d}}]"
    assert in_days("x", rules, old("x", 3), old("y", 1, "x")) == 0
    assert in_days("x", KEEP + rules, old("x", 3), old("y", 1, "x")) == 29
    assert in_days("x", KEEP + "protect: y\n" + rules, old("x", 3), old("y", 1, "x")) is None


@pytest.mark.parametrize("more", ["", ", {tags: z, older_than: 1d, keep: none}"])
def test_a_deletion_waits_for_the_tag_whose_revision_it_is_only_if_the_policy_says_so(more: str) -> None:
    rules = f"rules: [{{tags: x, keep: none}}, {{tags: y, keep: {{pushed_within: 9d, revisions: 1}}}}{more}]"
    revisions = {"y": (digest_of("x"),)}
    assert in_days("x", rules, old("x", 3), old("y", 1), revisions=revisions) == 0
    assert in_days("x", KEEP + rules, old("x", 3), old("y", 1), revisions=revisions) == 8
    assert in_days("x", KEEP + "protect: y\n" + rules, old("x", 3), old("y", 1), revisions=revisions) is None
    assert in_days("x", KEEP + rules, old("x", 3), revisions=revisions) is None


def test_a_tag_deleted_alone_is_deleted_now_and_its_reason_names_the_tag_that_keeps_its_image() -> None:
    tags = (old("latest", 0, "x"), old("v1", 1), old("b2", 2, "x"))
    results = explained("b2", "protect: latest\nrules: [{name: r, keep: {last: 1}}]", *tags)
    assert results.verdict.reason == "older than the newest (rule r); its image is kept as latest"
    assert (results.earliest_deletion_us, [result.place for result in results.rule_results]) == (us(NOW_S), [2])
    results = explained("b2", KEEP + "protect: latest\nrules: [{name: r, keep: {last: 1}}]", *tags)
    assert (results.verdict.reason, results.earliest_deletion_us) == (
        "its image is kept as latest (shared: keep)",
        None,
    )


def test_a_verdict_may_change_from_keep_to_delete_and_back() -> None:
    """The second rule keeps the tag once it is old. The explanation says when the first could delete it before."""
    rules = "rules: [{keep: {pushed_within: 5d}}, {older_than: 9d, keep: always}]"
    assert in_days("x", rules, old("x", 3)) == 2
    assert in_days("x", rules, old("x", 10)) is None


def test_an_end_long_after_every_period_of_the_policy_is_found() -> None:
    rule = "rules: [{older_than: 5d, keep: {last: 1}}]"
    assert in_days("x", rule, old("x", 9), old("y", -1)) == 6
    assert in_days("x", rule, old("x", 9), old("y", 8), leased={digest_of("x"): us(NOW_S + 90 * DAY)}) == 90
    rule = "rules: [{older_than: 1d, keep: {pulled_within: 5d}}]"
    assert in_days("x", rule, old("x", 9), old("y", 9, "x", pulled=-30)) == 0
    assert in_days("x", KEEP + rule, old("x", 9), old("y", 9, "x", pulled=-30)) == 35


def test_the_last_push_can_be_deleted_after_ten_minutes() -> None:
    for rule in ("rules: [{older_than: 1m, keep: none}]", "rules: [{keep: none}]"):
        assert in_days("x", rule, tag("x", NOW_S - 120)) == pytest.approx(480 / DAY)


def waits_for_its_date(item: Explanation) -> bool:
    """The rules decide about the tag once its creation date is read, which no plan does."""
    return item.verdict.kept and item.verdict.tag.pushed_us is None and item.earliest_deletion_us is not None


def agrees(state: State, rules: Policy) -> None:
    moments = boundaries(state, rules)
    plans = [(moment, planner.plan(state, rules, moment)) for moment in moments]
    for each in explain(state, rules, NOW):
        name = each.verdict.tag.name
        if waits_for_its_date(each):
            continue
        going = (moment for moment, plan in plans if any(name in doomed.tags for doomed in plan.doomed))
        assert each.earliest_deletion_us == next(going, None), name
        assert each.verdict in plans[0][1].verdicts


@examples(120)
@given(STATES, policies())
def test_a_tag_could_be_deleted_at_the_first_moment_at_which_a_plan_dooms_it(state: State, rules: Policy) -> None:
    agrees(state, rules)


@examples(80)
@given(STATES, policies())
def test_the_explanation_may_name_a_later_moment_and_never_an_earlier_one(state: State, rules: Policy) -> None:
    exact = explain(state, rules, NOW)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(explanation, "_MOST_TURNING_POINTS", 0)
        result = explain(state, rules, NOW)
    for ours, true in zip(result, exact, strict=True):
        if ours.earliest_deletion_us is not None and not waits_for_its_date(ours):
            assert true.earliest_deletion_us is not None
            assert ours.earliest_deletion_us >= true.earliest_deletion_us
            (verdict,) = (
                verdict
                for verdict in planner.plan(state, rules, ours.earliest_deletion_us).verdicts
                if verdict.tag == ours.verdict.tag
            )
            assert not verdict.kept
        if not any(rule.final and rule.older_than for rule in rules.rules):
            assert ours == true


def test_ten_thousand_tags_that_grow_old_are_no_obstacle() -> None:
    rules = ", ".join(f"{{older_than: {days}d, keep: {{last: 10}}}}" for days in range(1, 200))
    tags = [old(f"b{number}", number / 100) for number in range(10_000)]
    assert in_days("b50", f"rules: [{rules}]", *tags) == pytest.approx(0.6)


@pytest.mark.slow
def test_ten_thousand_tags_with_revisions_are_no_obstacle() -> None:
    tags = tuple(old(f"b{number}", number / 100) for number in range(10_000))
    revisions = {each.name: tuple(digest_of(f"{each.name} {number}") for number in (1, 2)) for each in tags}
    state = State(repository="shop/api", tags=tags, revisions=revisions)
    rules = explain(state, policy(KEEP + "rules: [{keep: {pushed_within: 60d, revisions: 3}}]"), us(NOW_S))
    assert rules[0].earliest_deletion_us == us(NOW_S + 60 * DAY)
    assert rules[-1].earliest_deletion_us == us(NOW_S)


LAST = "rules: [{name: n, keep: {last: 1}}]"


def test_a_tag_whose_push_was_not_reported_can_be_deleted_once_its_event_can_no_longer_come() -> None:
    """Ten minutes later it was deleted, with no push and no change of the policy (`reconcile.late`)."""
    tags = (tag("found", None), old("v1", 1), old("v2", 2))
    result = explained("found", LAST, *tags, reports_until_us=us(NOW_S + DAY))
    assert (result.verdict.kept, result.earliest_deletion_us, result.verdict.until_us) == (
        True, us(NOW_S + DAY), us(NOW_S + DAY),
    )  # fmt: skip
    assert in_days("found", LAST, *tags) == 0, "its creation date is read by the next plan"


def test_a_tag_whose_push_was_not_reported_is_kept_where_no_rule_can_delete_it() -> None:
    result = explained("found", LAST, tag("found", None), reports_until_us=us(NOW_S + DAY))
    assert (result.earliest_deletion_us, result.verdict.until_us) == (None, None)
    assert result.only_after == "newer pushes or a changed policy"


@pytest.mark.parametrize(
    ("name", "sentence", "needs"),
    [
        ("v2", LAST, "newer pushes or a changed policy"),
        ("v2", "rules: [{name: n, tags: x*, keep: {last: 1}}]", "a changed policy"),
        ("v2", "rules: [{name: n, keep: always}]", "a changed policy"),
        ("v2", f"protect: [v2]\n{LAST}", "a changed policy"),
        ("sha256-" + digest_of("v2")[7:] + ".sig", LAST, "the deletion of the image or index that it belongs to"),
    ],
)
def test_the_explanation_names_what_must_happen_if_time_alone_deletes_no_tag(
    name: str, sentence: str, needs: str
) -> None:
    signature = old("sha256-" + digest_of("v2")[7:] + ".sig", 1, "signature")
    result = explained(name, sentence, old("v2", 1), old("v1", 2), signature)
    assert (result.earliest_deletion_us, result.only_after) == (None, needs)


@pytest.mark.parametrize(("first_plan", "needed"), [("hold", True), ("apply", False)])
def test_the_explanation_says_that_a_deletion_will_need_an_approval(first_plan: str, needed: bool) -> None:
    tags = (old("v1", 1), Tag("old", digest_of("old"), us(0), found=True))
    result = explained("old", f"first_plan: {first_plan}\n{LAST}", *tags, unapproved=UnapprovedTags(us(1)))
    assert (result.earliest_deletion_us, result.needs_approval) == (us(NOW_S), needed)
