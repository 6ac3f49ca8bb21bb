"""Groups: the text that an expression captures, and refused expressions, which would name no group."""

import pytest

from service.domain.policy.groups import Grouping, checked_group
from service.domain.policy.patterns import captures, compile_expression, forget_compiled
from tests.support.makers import planned, policy, tag, us


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
def test_a_group_that_is_no_expression_is_refused(expression: str) -> None:
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


def test_different_captures_never_share_a_group() -> None:
    rules = policy(r"rules: [{group: '^(.+)\.(.+)-', keep: {last: 1}}]")
    decided = planned([tag("a.b.c-1", 1), tag("a.b-1", 2), tag("a.c-1", 3)], rules, us(100))
    assert decided.doomed == ()


@pytest.mark.parametrize(
    "expression", [r"^(\w+)-(\d+)", r"(?i)(PR)|(x)", r"(\pL+)", r"(.)\b", r"(?P<part>_.*)", r"(\C)", "(z)"]
)
@pytest.mark.parametrize("tag", ["pr-7", "v1.2_rc-3", "_", "PR"])
def test_bytes_are_captured_as_letters_are(expression: str, tag: str) -> None:
    match = compile_expression(expression, expression).search(tag)
    assert captures(expression, tag) == (match.groups() if match else ())


def test_a_tag_is_matched_once_for_all_plans_until_a_user_has_tried_a_policy() -> None:
    rules, tags = policy(r"rules: [{group: '^(once)-', keep: {last: 1}}]"), [tag("once-1", 1), tag("once-2", 2)]
    forget_compiled()
    for _ in range(2):
        assert [image.tags for image in planned(tags, rules, us(100)).doomed] == [("once-1",)]
    assert captures.cache_info().misses == 2
    forget_compiled()
    assert captures.cache_info().currsize == 0
