"""Rules that can never delete a tag: said where it is certain, and nowhere else."""

import pytest
from hypothesis import given

from service.domain.policy.disabling import disabled_rules
from service.domain.policy.model import Policy
from service.domain.retention.planner import plan
from service.domain.retention.state import State
from tests.domain.retention.strategies import NOW, STATES, policies
from tests.support.examples import examples
from tests.support.makers import policy

MAIN = "{name: main, tags: main-*, keep: {last: 3}}"
REST = "{name: rest, keep: {last: 9}}"


def said(*rules: str) -> list[tuple[str, str]]:
    wanted = disabled_rules(policy(f"rules: [{', '.join(rules)}]"))
    return [(item.rule, item.by) for item in wanted]


def test_a_last_rule_that_keeps_every_tag_disables_all_before_it() -> None:
    """Such a rule was written for its `untagged: 1h`, and silently kept every tag."""
    last = "{name: untagged, untagged: 1h, keep: always}"
    assert said(MAIN, REST, last) == [("main", "untagged"), ("rest", "untagged")]
    (rules, _) = disabled_rules(policy(f"rules: [{MAIN}, {REST}, {last}]"))
    assert rules.sentence.startswith(
        "rule 'main' never deletes a tag, because rule 'untagged' keeps all of its tags, and one keep is enough: "
    )


def test_a_final_rule_that_takes_every_tag_disables_those_after_it() -> None:
    assert said("{name: all, keep: {last: 3}, final: true}", REST) == [("rest", "all")]


@pytest.mark.parametrize(
    "rules",
    [
        (MAIN, REST),
        (MAIN, "{name: releases, tags: v*, keep: always}"),
        (MAIN, "{name: young, older_than: 7d, keep: always}"),
        (MAIN, "{name: elsewhere, repos: [ops/*], keep: always}"),
        (MAIN, "{name: groups, group: '^(x)', keep: always}"),
        (MAIN.replace("}}", "}, final: true}"), "{name: rest, keep: always}"),
        ("{name: all, keep: always}",),
    ],
)
def test_nothing_is_reported_of_rules_that_may_delete(rules: tuple[str, ...]) -> None:
    assert said(*rules) == []


def test_a_rule_with_revisions_only_keeps_every_tag_as_well() -> None:
    assert said(MAIN, "{name: moving, keep: {revisions: 3}}") == [("main", "moving")]


@examples(120)
@given(STATES, policies())
def test_a_rule_that_is_called_disabled_never_deletes_a_tag(state: State, written: Policy) -> None:
    names = {rule.rule for rule in disabled_rules(written)}
    going = [verdict for verdict in plan(state, written, NOW).verdicts if not verdict.kept and not verdict.follows]
    assert not names.intersection(verdict.rule for verdict in going)
