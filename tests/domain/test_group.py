"""Groups: what an expression captures, and the refusal of what would name nothing."""

import pytest

from service.domain.policy.groups import Grouping, checked_group
from tests.support.makers import planned, policy, tag, us


@pytest.mark.parametrize(
    ("expression", "groups"),
    [
        (r"^(.+)-\d+$", {"main-1": "main", "feature-x-12": "feature-x", "main": None, "-1": None}),
        (r"^v?(\d+)\.(\d+)\.", {"v1.4.2": "1 4", "1.4.9": "1 4", "1.4": None}),
        (r"^(?P<branch>[a-z]+)-", {"main-1": "main", "1-main": None}),
        (r"^(?:pr)-(\d+)", {"pr-7-abc": "7", "pr-": None}),
        (r"^(?:pr-(\d+)|(main))-", {"pr-7-a": "7 ", "main-a": " main", "x-a": None}),
        (r"^(x)?(y)", {"xy": "x y", "y": " y"}),
        (r"(?:(a))*b", {"ab": "a", "b": None}),
    ],
)
def test_a_group_is_what_was_captured_and_the_rest_is_not_selected(
    expression: str, groups: dict[str, str | None]
) -> None:
    grouping = Grouping(checked_group(expression))
    assert {name: grouping.of(name) for name in groups} == groups


def test_without_an_expression_there_is_one_group() -> None:
    assert Grouping(None).of("anything") == ""


@pytest.mark.parametrize(
    ("expression", "inside"),
    [
        ("^(.*)-", ".*"),
        ("^(a?)", "a?"),
        ("(a|)b", "a|"),
        ("(^)", "^"),
        ("(?P<n>x*)y", "x*"),
        ("(?<n>x*)y", "x*"),
        ("((a*)b)", "a*"),
        (r"[(](b*)", "b*"),
        (r"[^]](b*)", "b*"),
        (r"[]](b*)", "b*"),
        (r"\((b*)\)", "b*"),
        (r"[[:alpha:](](b*)", "b*"),
        (r"(?:x)(b*)", "b*"),
        ("(a)(b*)", "b*"),
        ("()", ""),
        ("([[:alpha:]]*)", "[[:alpha:]]*"),
    ],
)
def test_a_group_that_can_be_empty_is_refused(expression: str, inside: str) -> None:
    with pytest.raises(ValueError, match="can be empty; write") as raised:
        checked_group(expression)
    assert str(raised.value) == f"({inside}) in {expression!r} can be empty; write + for *: a group needs a name"


@pytest.mark.parametrize("expression", ["a", "(?:a)", "(?i:a)", r"\(a\)", "[(a)]"])
def test_an_expression_that_captures_nothing_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="captures nothing; put"):
        checked_group(expression)


@pytest.mark.parametrize("expression", ["(", "(?=a)", r"(a)\1", "(a{1001})"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression that RE2 understands"):
        checked_group(expression)


@pytest.mark.parametrize(
    "expression", ["(a+)", "(?i)(a)", "[()](a)", r"[\](](a)", "[[:alpha:]()](b)", "(?i:(a))", "(?:(a))*", r"(\))"]
)
def test_a_group_that_has_a_name_is_accepted(expression: str) -> None:
    assert checked_group(expression) == expression


def test_an_expression_may_begin_as_it_does_in_patterns() -> None:
    assert checked_group("re:^(a+)-") == "^(a+)-"


def test_a_capture_that_took_nothing_selects_nothing() -> None:
    r"""\b takes no letter: that it can be empty shows only at a tag."""
    assert Grouping(checked_group(r"a(\b)")).of("a") is None


def test_a_limit_counts_in_each_group() -> None:
    rules = policy(r"rules: [{name: branches, group: '^(.+)-\d+$', keep: {last: 2}}]")
    tags = [tag(f"{branch}-{number}", number) for branch in ("main", "dev") for number in (1, 2, 3)]
    decided = planned([*tags, tag("latest", 0)], rules, us(100))
    assert {v.tag.name: (v.kept, v.reason, v.rule) for v in decided.verdicts} == {
        "dev-3": (True, "number 1 of the newest 2 in group dev (rule branches)", "branches"),
        "main-3": (True, "number 1 of the newest 2 in group main (rule branches)", "branches"),
        "dev-2": (True, "number 2 of the newest 2 in group dev (rule branches)", "branches"),
        "main-2": (True, "number 2 of the newest 2 in group main (rule branches)", "branches"),
        "dev-1": (False, "older than the newest 2 in group dev (rule branches)", "branches"),
        "main-1": (False, "older than the newest 2 in group main (rule branches)", "branches"),
        "latest": (True, "no rule selects it", None),
    }


def test_a_digest_takes_a_slot_in_each_of_its_groups() -> None:
    rules = policy(r"rules: [{group: '^(.+)-\d+$', keep: {last: 1}}]")
    tags = [tag("a-2", 4, "x"), tag("a-1", 3), tag("b-1", 2, "x"), tag("b-2", 1)]
    decided = planned(tags, rules, us(100))
    assert [verdict.tag.name for verdict in decided.verdicts if not verdict.kept] == ["a-1", "b-2"]


def test_captures_that_exclude_each_other_make_groups_of_their_own() -> None:
    rules = policy(r"rules: [{name: each, group: '^(?:a(\d+)|b(\d+)|(main))-', keep: {last: 1}}]")
    names = ("a1-1", "b1-1", "main-1", "a1-2", "b1-2", "main-2")
    decided = planned([tag(name, at) for at, name in enumerate(names)], rules, us(100))
    gone = {verdict.tag.name: verdict.reason for verdict in decided.verdicts if not verdict.kept}
    assert gone == {
        "a1-1": "older than the newest 1 in group 1 (rule each)",
        "b1-1": "older than the newest 1 in group 1 (rule each)",
        "main-1": "older than the newest 1 in group main (rule each)",
    }


def test_different_captures_never_share_a_group() -> None:
    rules = policy(r"rules: [{group: '^(.+)\.(.+)-', keep: {last: 1}}]")
    decided = planned([tag("a.b.c-1", 1), tag("a.b-1", 2), tag("a.c-1", 3)], rules, us(100))
    assert decided.doomed == ()
