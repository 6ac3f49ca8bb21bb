"""`order: created` needs creation times: images without one are named before anything is deleted."""

import pytest

from service.domain.retention.state import Tag
from tests.support.makers import digest_of, planned, policy, tag, us

NOW = us(100)


def undated(rules: str, *tags: Tag) -> tuple[str, ...]:
    return planned(tags, policy(f"rules: [{rules}]"), NOW).undated


def known(name: str, pushed: float) -> Tag:
    return tag(name, pushed, created_us=us(pushed))


def test_unread_images_are_named_by_digest_if_a_limit_overflows() -> None:
    result = undated("{order: created, keep: {last: 2}}", tag("a", 1), tag("b", 2), known("c", 3))
    assert result == tuple(sorted((digest_of("a"), digest_of("b"))))


def test_a_config_that_says_nothing_has_been_looked_up() -> None:
    assert undated("{order: created, keep: {last: 1}}", tag("a", 1, created_us=0), known("b", 2)) == ()


def test_nothing_is_named_where_no_limit_overflows() -> None:
    assert undated("{order: created, keep: {last: 2}}", tag("a", 1), tag("b", 2)) == ()
    assert undated("{order: created, keep: {last: 2}}", tag("a", 1, "x"), tag("b", 2, "x"), tag("c", 3)) == ()


@pytest.mark.parametrize("keep", ["{pushed_within: 1s}", "{last_pulled: 1}", "none", "always"])
def test_a_rule_that_counts_by_no_creation_asks_for_none(keep: str) -> None:
    assert undated(f"{{order: created, keep: {keep}}}", tag("a", 1), tag("b", 2)) == ()


def test_other_orders_ask_for_none_and_later_rules_are_asked_all_the_same() -> None:
    assert undated("{keep: {last: 1}}", tag("a", 1), tag("b", 2)) == ()
    rules = "{keep: {last: 1}}, {order: created, keep: {last: 1}}"
    assert undated(rules, tag("a", 1), known("b", 2)) == (digest_of("a"),)
