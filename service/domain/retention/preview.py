"""A preview: the deletions of a plan for one repository, with a total for each rule."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.retention.freed import Freed
from service.domain.retention.plan import Plan, Verdict
from service.domain.retention.total import Total, added, total


@dataclass(frozen=True, slots=True)
class Preview:
    """The images that a plan would delete from one repository.

    Attributes:
        deletions: a verdict for each tag to delete, or one with the tag name "" for a manifest without a tag.
        rules: the total of each rule; its name is "" for deletions that no rule decided.
        hold: why the plan would wait for approval, or None.
        unclear: digests that must be read before any deletion.
        freed: the disk space that is free after the next collection.
        of_unknown_age: the tags that are kept only because their age is not known.
        next_us: when time alone may change the plan; None if it cannot.
    """

    repository: str
    deletions: tuple[Verdict, ...]
    rules: tuple[Total, ...]
    hold: str | None
    unclear: tuple[str, ...]
    freed: Freed
    of_unknown_age: tuple[Verdict, ...] = ()
    next_us: int | None = None


def previewed(repository: str, plan: Plan, freed: Freed) -> Preview:
    """Return the preview of a plan."""
    deletions = tuple(verdict for doomed in plan.doomed for verdict in doomed.verdicts)
    names = dict.fromkeys(verdict.rule or "" for verdict in deletions)
    rules = tuple(total(name, (verdict for verdict in deletions if (verdict.rule or "") == name)) for name in names)
    of_unknown_age = tuple(verdict for verdict in plan.verdicts if verdict.unknown_age)
    unclear = (*plan.unresolved, *plan.undated)
    return Preview(repository, deletions, rules, plan.hold, unclear, freed, of_unknown_age, plan.next_us)


def totals(previews: Iterable[Preview]) -> tuple[Total, ...]:
    """Return the total of each rule over all repositories. An image in two repositories counts twice."""
    rules = [rule for preview in previews for rule in preview.rules]
    names = dict.fromkeys(rule.name for rule in rules)
    return tuple(added(name, [rule for rule in rules if rule.name == name]) for name in names)
