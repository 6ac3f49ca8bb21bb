"""Harbor: the policy of its own code, the example of its Terraform provider, and the policy that each becomes."""

from typing import Any

import pytest

from tests.importers import aged, gone, imported, published, refused, rules_of, untagged_gone, used


def selector(decoration: str, pattern: str, **more: Any) -> dict[str, Any]:
    return {"kind": "doublestar", "decoration": decoration, "pattern": pattern, **more}


def retain(template: str, number: int | None = None, tags: str = "**", **more: Any) -> dict[str, Any]:
    """A rule as Harbor's API has it; it is for all repositories unless more says otherwise."""
    return {
        "action": "retain",
        "template": template,
        "params": {} if number is None else {template: number},
        "tag_selectors": [selector("matches", tags)],
        "scope_selectors": {"repository": [selector("repoMatches", "**")]},
        **more,
    }


def policy(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"algorithm": "or", "rules": list(rules), **more}


def test_the_published_policy_by_pull_time_is_translated() -> None:
    made = imported("harbor", published("harbor-pulled"))
    (rule,) = rules_of(made)
    assert rule == {"name": "nDaysSinceLastPull **", "repos": ["shop/**"], "keep": {"pulled_within": "7d"}}
    assert gone(made, aged("v1", 30, pulled_us=used(8)), aged("v2", 30, pulled_us=used(6))) == {"v1"}
    assert not untagged_gone(made, 99)
    assert "the schedule (0 0 0 * * *)" in made.text


def test_the_example_with_braces_deletes_what_neither_rule_retains() -> None:
    made = imported("harbor", published("harbor-braces"))
    assert [rule.get("tags") for rule in rules_of(made)] == [["latest"], ["latest", "snapshot"], None]
    tags = [aged("latest", 9), aged("snapshot", 11), aged("v1", 0.1)]
    assert gone(made, *tags) == {"snapshot", "v1"}
    assert gone(made, *tags, repository="other/api") == set()
    assert (untagged_gone(made, 2), untagged_gone(made, 0.5)) == (True, False)


@pytest.mark.parametrize(
    ("template", "keep"),
    [
        ("latestPushedK", {"last": 3}),
        ("latestPulledN", {"last_pulled": 3}),
        ("latestActiveK", {"last_pulled": 3}),
        ("nDaysSinceLastPush", {"pushed_within": "3d"}),
        ("lastXDays", {"pushed_within": "3d"}),
        ("nDaysSinceLastPull", {"pulled_within": "3d"}),
        ("always", "always"),
    ],
)
def test_every_template_has_a_condition(template: str, keep: object) -> None:
    assert rules_of(imported("harbor", policy(retain(template, 3))))[0]["keep"] == keep


def test_an_excluded_tag_is_not_retained() -> None:
    rule = retain("always", tag_selectors=[selector("excludes", "{pr,tmp}-*", extras='{"untagged":true}')])
    made = imported("harbor", policy(rule))
    assert rules_of(made)[0]["tags"] == ["!pr-*", "!tmp-*"]
    assert gone(made, aged("pr-1", 1), aged("tmp-1", 1), aged("v1", 99)) == {"pr-1", "tmp-1"}
    assert untagged_gone(made, 2)


@pytest.mark.parametrize(
    ("decoration", "extras", "go"),
    [
        ("matches", None, False),
        ("matches", '{"untagged":true}', False),
        ("matches", '{"untagged":false}', True),
        ("matches", "broken", False),
        ("excludes", None, False),
        ("excludes", '{"untagged":true}', True),
    ],
)
def test_untagged_images_are_deleted_only_if_no_rule_retains_them(
    decoration: str, extras: str | None, go: bool
) -> None:
    rule = retain("always", tag_selectors=[selector(decoration, "x*", extras=extras)])
    assert untagged_gone(imported("harbor", policy(rule)), 2) is go


def test_a_repository_that_no_rule_is_for_is_untouched() -> None:
    scope = {"repository": [selector("repoMatches", "api"), selector("repoExcludes", "old/**")]}
    made = imported("harbor", policy(retain("latestPushedK", 1, "v*", scope_selectors=scope)))
    assert rules_of(made)[0]["repos"] == ["shop/api", "!shop/old/**"]
    assert gone(made, aged("x", 9)) == {"x"}
    assert gone(made, aged("x", 9), repository="shop/web") == set()


def test_a_selection_that_cannot_be_expressed_keeps_more() -> None:
    both = retain("latestPushedK", 1, tag_selectors=[selector("matches", "v*"), selector("matches", "*-rc")])
    labels = retain("latestPushedK", 1, tag_selectors=[{"kind": "label", "decoration": "withLabels", "pattern": "x"}])
    for rule in (both, labels):
        made = imported("harbor", policy(rule))
        assert rules_of(made)[0]["keep"] == "always"
        assert "no equivalent:" in made.text
    young = {**both, "template": "lastXDays", "params": {"lastXDays": 2}}
    assert gone(imported("harbor", policy(young)), aged("v1", 1), aged("v2", 3)) == {"v2"}


def test_a_disabled_rule_is_left_out() -> None:
    made = imported("harbor", policy(retain("always", disabled=True)))
    assert rules_of(made) == []
    assert "rule 1 is disabled there" in made.text


def test_without_a_project_no_repository_is_meant() -> None:
    made = imported("harbor", policy(retain("latestPushedK", 1)), None)
    assert gone(made, aged("v1", 9), aged("v2", 8)) == set()
    assert "--within PROJECT" in made.text
    everywhere = imported("harbor", policy(retain("latestPushedK", 1)), "")
    assert gone(everywhere, aged("v1", 9), aged("v2", 8)) == {"v1"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("", "given.json: this is empty"),
        ("{", "given.json, line 1: this is not JSON"),
        ([], "given.json, line 1: must hold `key: value` pairs"),
        ({}, "given.json, line 1: rules is missing; add it"),
        ({"rules": 7}, "rules: must be a list"),
        (policy(algorithm="and"), "algorithm: must be 'or'"),
        (policy(retain("newestN", 3)), "rules[0].template: must be 'latestPushedK', "),
        (policy(retain("latestPushedK")), "rules[0]: params.latestPushedK must be a whole number"),
        (policy(retain("latestPushedK", -1)), "must be a whole number from 0 up"),
        (policy(retain("latestPushedK", 10**12)), "must be a whole number from 0 up"),
        (policy(retain("nDaysSinceLastPull", 20190904)), "20190904 days is more than 100 years"),
        (policy(retain("always", action="immutable")), "rules[0].action: must be 'retain'"),
        (policy(retain("always", unless="x")), "rules[0].unless: pushprune does not know `unless` here"),
        (policy(retain("always", scope_selectors={"project": []})), "only repositories can be selected here"),
        (
            policy(retain("always", scope_selectors={"repository": [selector("regexp", "x")]})),
            "scope_selectors.repository[0].decoration: must be 'repoMatches' or 'repoExcludes'",
        ),
    ],
)
def test_a_field_that_cannot_be_translated_is_refused_at_its_place(values: Any, sentence: str) -> None:
    assert sentence in refused("harbor", values)
