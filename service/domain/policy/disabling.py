"""Rules that can never delete a tag, because another rule keeps all of their tags, or hides them as `final`."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.policy.model import Keep, Policy, Rule


@dataclass(frozen=True, slots=True)
class Disabled:
    """A rule that never deletes a tag, and the rule that is the reason for it."""

    rule: str
    by: str
    sentence: str


def disabled_rules(policy: Policy) -> tuple[Disabled, ...]:
    """Return the rules that certainly never delete a tag because of another rule. Uncertain cases are left out."""
    names = policy.names
    return tuple(
        Disabled(names[number], names[other], _sentence(names[number], names[other], effect))
        for number, other, effect in _pairs(policy.rules)
    )


def _pairs(rules: tuple[Rule, ...]) -> Iterator[tuple[int, int, str]]:
    """Yield (disabled rule, the rule that is the reason, its effect) once for each disabled rule."""
    for number, rule in enumerate(rules):
        if not _may_delete(rule):
            continue
        for other, covering in enumerate(rules):
            if other != number and _covers(covering, rule) and (effect := _effect(rules, number, other)):
                yield number, other, effect
                break


def _effect(rules: tuple[Rule, ...], number: int, other: int) -> str:
    """Return how the other rule disables a rule that it covers: it "hides" or "keeps" its tags; "" if it does not."""
    rule, covering = rules[number], rules[other]
    if covering.final and other < number:
        return "hides"
    # A final rule hides its tags from the rules after it: then the covering rule does not see them all.
    hides = any(before.final for before in rules[:other])
    if not _may_delete(covering) and not hides and not (rule.final and number < other):
        return "keeps"
    return ""


def _covers(covering: Rule, rule: Rule) -> bool:
    """Return True if the covering rule certainly selects every tag that the other rule selects."""
    tags = covering.concerns_every_tag or covering.tags == rule.tags
    repositories = covering.repos in (("**",), rule.repos)
    return tags and repositories and covering.group is None and covering.older_than <= rule.older_than


def _may_delete(rule: Rule) -> bool:
    return rule.keep != "always" and not (isinstance(rule.keep, Keep) and not rule.keep.limits_tags)


def _sentence(rule: str, other: str, effect: str) -> str:
    if effect == "hides":
        return (
            f"rule {rule!r} never sees a tag, because rule {other!r} before it is final and selects all of its tags: "
            f"move rule {rule!r} before it, or narrow the `tags` of rule {other!r}"
        )
    return (
        f"rule {rule!r} never deletes a tag, because rule {other!r} keeps all of its tags, and one keep is enough: "
        f"narrow the `tags` of rule {other!r}, or move what else it says into rule {rule!r}"
    )
