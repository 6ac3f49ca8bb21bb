"""A preview: the deletions of a plan for one repository, with a total for each rule."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.retention.freed import Freed
from service.domain.retention.plan import Plan, Verdict


@dataclass(frozen=True, slots=True)
class Share:
    """The total of the deletions by one rule.

    Attributes:
        size_bytes: of the images of known size. Shared layers count once per image.
        unsized: number of images of unknown size.
    """

    rule: str
    tags: int
    digests: int
    size_bytes: int
    unsized: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """The images that a plan would delete from one repository.

    Attributes:
        deletions: a verdict for each tag to delete, or one with the tag name "" for a manifest without a tag.
        shares: the totals of each rule.
        hold: why the plan would wait for approval, or None.
        unclear: digests that must be read before any deletion.
        freed: the disk space that is free after the next collection.
        of_unknown_age: the tags that are kept only because their age is not known.
    """

    repository: str
    deletions: tuple[Verdict, ...]
    shares: tuple[Share, ...]
    hold: str | None
    unclear: tuple[str, ...]
    freed: Freed
    of_unknown_age: tuple[Verdict, ...] = ()


def previewed(repository: str, plan: Plan, freed: Freed) -> Preview:
    """Return the preview of a plan."""
    deletions = tuple(verdict for doomed in plan.doomed for verdict in doomed.verdicts)
    rules = dict.fromkeys(verdict.rule or "" for verdict in deletions)
    shares = tuple(share(rule, (verdict for verdict in deletions if verdict.rule == rule)) for rule in rules)
    of_unknown_age = tuple(verdict for verdict in plan.verdicts if verdict.unknown_age)
    return Preview(repository, deletions, shares, plan.hold, (*plan.unresolved, *plan.undated), freed, of_unknown_age)


def share(rule: str, verdicts: Iterable[Verdict]) -> Share:
    """Return the total of these verdicts. A digest with several tags counts once."""
    verdicts = tuple(verdicts)
    sizes = {verdict.tag.digest: verdict.tag.size_bytes for verdict in verdicts if not verdict.kept_as}
    tags, unsized = sum(1 for verdict in verdicts if verdict.tag.name), sum(1 for size in sizes.values() if not size)
    return Share(rule, tags, len(sizes), sum(sizes.values()), unsized)


def totals(previews: Iterable[Preview]) -> tuple[Share, ...]:
    """Return the total of each rule over all repositories. An image in two repositories counts twice."""
    shares = [total for preview in previews for total in preview.shares]
    rules = dict.fromkeys(total.rule for total in shares)
    return tuple(added(rule, [total for total in shares if total.rule == rule]) for rule in rules)


def added(rule: str, shares: list[Share]) -> Share:
    """Return the sum of these totals."""
    columns = zip(*((s.tags, s.digests, s.size_bytes, s.unsized) for s in shares), strict=True)
    return Share(rule, *(sum(column) for column in columns))
