"""`keep`: each condition, their combinations, the selection before they count, and the effect of time."""

import pytest

from service.domain.oci.manifest import References
from service.domain.retention.plan import Verdict
from service.domain.retention.state import Tag
from tests.support.makers import DAY, NOW_S, digest_of, old, planned, policy, tag, us


def verdicts(rule: str, *tags: Tag, more: str = "") -> dict[str, Verdict]:
    decided = planned(tags, policy(f"{more}\nrules: [{{name: r, {rule}}}]"), us(NOW_S))
    return {verdict.tag.name: verdict for verdict in decided.verdicts}


def reasons(rule: str, *tags: Tag, more: str = "") -> dict[str, tuple[bool, str]]:
    return {name: (verdict.kept, verdict.reason) for name, verdict in verdicts(rule, *tags, more=more).items()}


def next_days(rule: str, *tags: Tag, more: str = "") -> float | None:
    """The number of days after which time alone may change the plan."""
    next_us = planned(tags, policy(f"{more}\nrules: [{{{rule}}}]"), us(NOW_S)).next_us
    return None if next_us is None else (next_us - us(NOW_S)) / 1_000_000 / DAY


def test_pushed_within_keeps_up_to_the_moment() -> None:
    just = tag("just", NOW_S - 7 * DAY + 0.000001)
    assert reasons("keep: {pushed_within: 7d}", old("new", 1), old("week", 7), just) == {
        "new": (True, "pushed within 7d (rule r)"),
        "just": (True, "pushed within 7d (rule r)"),
        "week": (False, "not pushed within 7d (rule r)"),
    }
    assert next_days("keep: {pushed_within: 7d}", old("new", 1), old("newer", 0.5), old("week", 7)) == 6


def test_pulled_within_keeps_what_was_pulled_and_a_push_counts() -> None:
    assert reasons("keep: {pulled_within: 30d}", old("a", 90, pulled=1), old("b", 5, pulled=20), old("c", 30)) == {
        "b": (True, "pushed within 30d, which counts as a pull (rule r)"),
        "c": (False, "not pulled within 30d (rule r)"),
        "a": (True, "pulled within 30d (rule r)"),
    }
    assert next_days("keep: {pulled_within: 30d}", old("a", 90, pulled=29), old("b", 1, pulled=20)) == 1


def test_last_pulled_counts_by_last_use() -> None:
    tags = (old("pulled", 90, pulled=1), old("new", 2), old("never", 50), old("older", 60, pulled=49))
    assert reasons("keep: {last_pulled: 2}", *tags) == {
        "new": (True, "number 2 of the 2 pulled last (rule r)"),
        "never": (False, "not among the 2 pulled last (rule r)"),
        "older": (False, "not among the 2 pulled last (rule r)"),
        "pulled": (True, "number 1 of the 2 pulled last (rule r)"),
    }


def test_last_pulled_counts_in_each_group() -> None:
    rule = r"group: '^(.)', keep: {last_pulled: 1}"
    assert reasons(rule, old("a1", 1), old("a2", 9, pulled=0), old("b1", 5)) == {
        "a1": (False, "not the one pulled last in group a (rule r)"),
        "b1": (True, "the one pulled last in group b (rule r)"),
        "a2": (True, "the one pulled last in group a (rule r)"),
    }


def test_a_tag_needs_one_condition_and_its_reason_names_the_longest() -> None:
    rule = "keep: {last: 1, pushed_within: 7d, pulled_within: 30d}"
    assert reasons(rule, old("a", 1), old("b", 2), old("c", 8), old("d", 40, pulled=29), old("e", 31)) == {
        "a": (True, "the newest (rule r)"),
        "b": (True, "pushed within 30d, which counts as a pull (rule r)"),
        "c": (True, "pushed within 30d, which counts as a pull (rule r)"),
        "d": (True, "pulled within 30d (rule r)"),
        "e": (False, "older than the newest and not pushed within 7d and not pulled within 30d (rule r)"),
    }
    assert next_days(rule, old("a", 1)) is None
    assert next_days(rule, old("a", 1), old("b", 2)) == 28


def test_with_mode_all_each_condition_must_hold() -> None:
    rule = "keep: {mode: all, last: 2, pushed_within: 7d, pulled_within: 30d}"
    assert reasons(rule, old("a", 1), old("b", 9), old("c", 10)) == {
        "a": (
            True,
            "number 1 of the newest 2 and pushed within 7d and pushed within 30d, which counts as a pull (rule r)",
        ),
        "b": (False, "not pushed within 7d (rule r)"),
        "c": (False, "older than the newest 2 and not pushed within 7d (rule r)"),
    }
    assert next_days(rule, old("a", 1)) == 6
    assert next_days("keep: {mode: all, last: 1}", old("a", 1)) is None


def test_revisions_alone_keep_every_tag() -> None:
    assert reasons("keep: {revisions: 3}", old("a", 1), old("b", 900)) == {
        "a": (True, "rule r limits only its revisions"),
        "b": (True, "rule r limits only its revisions"),
    }
    assert reasons("keep: {revisions: 3, mode: all}", old("a", 1))["a"][0]


def test_revisions_beside_a_limit_keep_no_tag() -> None:
    assert not reasons("keep: {last: 1, revisions: 3}", old("a", 1), old("b", 9))["b"][0]


def test_a_tag_younger_than_older_than_is_not_selected_and_takes_no_slot() -> None:
    rule = "older_than: 7d, keep: {last: 1}"
    assert reasons(rule, old("a", 1), old("b", 7), old("c", 8)) == {
        "a": (True, "no rule selects it"),
        "b": (True, "the newest (rule r)"),
        "c": (False, "older than the newest (rule r)"),
    }
    assert next_days(rule, old("a", 1), old("b", 7), old("c", 5)) == 2
    assert next_days(rule, old("b", 7)) is None


def test_a_tag_outside_of_every_group_never_expires_by_age() -> None:
    assert next_days(r"older_than: 7d, group: '^(a)', keep: {last: 1}", old("a", 1), old("b", 5)) == 6


def test_a_tag_from_the_future_is_not_old() -> None:
    assert reasons("older_than: 1s, keep: none", old("a", -1))["a"] == (True, "no rule selects it")
    assert reasons("keep: none", old("a", -1), old("b", -2))["a"] == (False, "rule r keeps none")


def test_the_rule_that_keeps_for_ever_is_named_before_one_that_keeps_for_a_while() -> None:
    more = "{name: week, keep: {pushed_within: 7d}}, {name: month, keep: {pushed_within: 30d}}"
    rules = "rules: [%s, {name: v, tags: v*, keep: always}, {name: n, keep: none}]"
    decided = planned([old("v1", 1), old("b", 2)], policy(rules % more), us(NOW_S))
    assert [(v.reason, v.rule, v.until_us) for v in decided.verdicts] == [
        ("rule v keeps all it selects", "v", None),
        ("pushed within 30d (rule month)", "month", us(NOW_S + 28 * DAY)),
    ]


def test_the_first_of_two_rules_that_keep_equally_long_is_named() -> None:
    rules = "rules: [{name: a, keep: {pushed_within: 7d}}, {name: b, keep: {pulled_within: 7d}}]"
    assert [v.rule for v in planned([old("x", 1)], policy(rules), us(NOW_S)).verdicts] == ["a"]


def test_a_final_rule_takes_only_what_it_selects() -> None:
    rules = policy(r"""
        rules:
        - {name: old, older_than: 30d, group: '^(m).*\d$', final: true, keep: {last: 1}}
        - {name: rest, keep: {last: 2}}
    """)
    tags = [old("m1", 40), old("m2", 50), old("m3", 5), old("m", 60), old("x1", 70)]
    decided = planned(tags, rules, us(NOW_S))
    assert {v.tag.name: (v.kept, v.rule) for v in decided.verdicts} == {
        "m3": (True, "rest"),
        "m1": (True, "old"),
        "m2": (False, "old"),
        "m": (True, "rest"),
        "x1": (False, "rest"),
    }


def test_a_tag_taken_by_one_final_rule_is_not_taken_again() -> None:
    rules = policy("""
        rules:
        - {name: v, tags: v*, final: true, keep: always}
        - {name: one, tags: "*1", final: true, keep: {last: 1}}
        - {name: rest, keep: none}
    """)
    decided = planned([old("v1", 1), old("b1", 2), old("c1", 3), old("d", 4)], rules, us(NOW_S))
    assert {v.tag.name: (v.kept, v.rule) for v in decided.verdicts} == {
        "v1": (True, "v"),
        "b1": (True, "one"),
        "c1": (False, "one"),
        "d": (False, "rest"),
    }


def test_a_tag_that_stays_for_the_sake_of_others_does_so_as_long_as_they_do() -> None:
    """A kept tag with the same digest keeps it (`shared: keep`); without that setting, it is deleted now."""
    rules = "rules: [{tags: a*, keep: {pushed_within: 7d}}, {tags: b*, keep: {pushed_within: 3d}}, {keep: none}]"
    tags = [old("a", 5, "x"), old("b", 1, "x"), old("c", 4, "x")]

    def said(shared: str) -> list[tuple[str, str, int | None]]:
        decided = planned(tags, policy(f"shared: {shared}\n{rules}"), us(NOW_S))
        return [(v.tag.name, v.reason, v.until_us) for v in decided.verdicts]

    kept = ("b", "pushed within 3d (rule #2)", us(NOW_S + 2 * DAY)), ("a", "pushed within 7d (rule #1)",
                                                                     us(NOW_S + 2 * DAY))  # fmt: skip
    assert said("keep") == [kept[0], ("c", "its image is kept as a (shared: keep)", us(NOW_S + 2 * DAY)), kept[1]]
    assert said("untag") == [kept[0], ("c", "rule #3 keeps none; its image is kept as a", None), kept[1]]


def test_an_image_is_kept_as_long_as_any_of_its_tags() -> None:
    rules = "rules: [{tags: a*, keep: {pushed_within: 7d}}, {tags: b*, keep: {pushed_within: 9d}}, {keep: none}]"
    rules = f"shared: keep\n{rules}"
    until = [v.until_us for v in planned([old("a", 1, "x"), old("b", 2, "x"), old("c", 4, "x")], policy(rules),
                                         us(NOW_S)).verdicts]  # fmt: skip
    assert until == [us(NOW_S + 6 * DAY), us(NOW_S + 7 * DAY), us(NOW_S + 7 * DAY)]
    more = "protect: b\n" + rules
    assert [v.until_us for v in planned([old("b", 2, "x"), old("c", 4, "x")], policy(more), us(NOW_S)).verdicts] == [
        None,
        None,
    ]


@pytest.mark.parametrize(("left_s", "kept"), [(1, True), (0, False), (-1, False)])
def test_a_lease_keeps_an_image_until_it_ends(left_s: int, kept: bool) -> None:
    rules = policy("rules: [{name: r, keep: none}]")
    leased = {digest_of("a"): us(NOW_S + left_s)}
    (verdict,) = planned([old("a", 9)], rules, us(NOW_S), leased=leased).verdicts
    assert verdict.kept is kept
    if kept:
        assert (verdict.reason, verdict.rule) == ("protected by a user", "r")
        assert verdict.until_us == us(NOW_S + 1)


def test_an_image_that_is_leased_two_levels_down_keeps_the_outer_index() -> None:
    rules = policy("rules: [{keep: {last: 1}}]")
    links = {
        digest_of("outer"): References(children=(digest_of("inner"),)),
        digest_of("inner"): References(children=(digest_of("amd64"),)),
    }
    leased = {digest_of("amd64"): us(NOW_S + DAY)}
    decided = planned([old("outer", 9), old("v2", 1)], rules, us(NOW_S), links=links, leased=leased)
    assert (decided.doomed, decided.next_us) == ((), us(NOW_S + DAY))


def test_two_indexes_that_list_each_other_end_no_plan() -> None:
    """No registry has them: only a forged event can say so."""
    links = {digest_of(index): References(children=(digest_of(child),)) for index, child in ("xa", "ab", "ba")}
    (doomed,) = planned([old("x", 9)], policy("rules: [{keep: none}]"), us(NOW_S), links=links).doomed
    assert doomed.tags == ("x",)


def test_a_leased_image_takes_its_slot() -> None:
    rules = policy("rules: [{keep: {last: 1}}]")
    leased = {digest_of("a"): us(NOW_S + 1), digest_of("b"): us(NOW_S + 1)}
    decided = planned([old("a", 1), old("b", 2), old("c", 3)], rules, us(NOW_S), leased=leased)
    assert [v.reason for v in decided.verdicts] == [
        "the newest (rule #1)",
        "protected by a user",
        "older than the newest (rule #1)",
    ]


def test_grace_is_reported_before_a_lease() -> None:
    decided = planned([old("a", 1)], policy("grace: 7d\nrules: [{keep: none}]"), us(NOW_S),
                      leased={digest_of("a"): us(NOW_S + 9 * DAY)})  # fmt: skip
    assert decided.verdicts[0].reason == "pushed less than 7d ago (grace)"
    assert decided.next_us == us(NOW_S + 6 * DAY)
