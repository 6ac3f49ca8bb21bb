"""A preview: what a plan would take from one repository, and what each rule would take of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.retention.freed import Freed
from service.domain.retention.plan import Plan, Verdict


@dataclass(frozen=True, slots=True)
class Share:
    """What goes by one rule. size_bytes: of the images as far as the registry told, shared layers counted each time.

    unsized: of how many images it did not tell.
    """

    rule: str
    tags: int
    digests: int
    size_bytes: int
    unsized: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go from one repository: a verdict for each tag, or one without a name for a manifest without a tag.

    hold: why the plan would wait for approval, or None. unclear: digests that must be looked at before anything goes.
    freed: how much goes for good once it is collected. doubtful: the tags that are kept only because their age is not
    known.
    """

    repository: str
    going: tuple[Verdict, ...]
    shares: tuple[Share, ...]
    hold: str | None
    unclear: tuple[str, ...]
    freed: Freed
    doubtful: tuple[Verdict, ...] = ()


def previewed(repository: str, plan: Plan, freed: Freed) -> Preview:
    going = tuple(verdict for doomed in plan.doomed for verdict in doomed.verdicts)
    rules = dict.fromkeys(verdict.rule or "" for verdict in going)
    shares = tuple(share(rule, (verdict for verdict in going if verdict.rule == rule)) for rule in rules)
    doubtful = tuple(verdict for verdict in plan.verdicts if verdict.doubt)
    return Preview(repository, going, shares, plan.hold, (*plan.unresolved, *plan.undated), freed, doubtful)


def share(rule: str, verdicts: Iterable[Verdict]) -> Share:
    """What these verdicts take together; a digest with several tags counts once."""
    verdicts = tuple(verdicts)
    sizes = {verdict.tag.digest: verdict.tag.size_bytes for verdict in verdicts if not verdict.stays_as}
    tags, unsized = sum(1 for verdict in verdicts if verdict.tag.name), sum(1 for size in sizes.values() if not size)
    return Share(rule, tags, len(sizes), sum(sizes.values()), unsized)


def totals(previews: Iterable[Preview]) -> tuple[Share, ...]:
    """What goes by each rule in all of these repositories together: an image in two of them is two images."""
    shares = [one for preview in previews for one in preview.shares]
    rules = dict.fromkeys(one.rule for one in shares)
    return tuple(_added(rule, [one for one in shares if one.rule == rule]) for rule in rules)


def _added(rule: str, shares: list[Share]) -> Share:
    columns = zip(*((s.tags, s.digests, s.size_bytes, s.unsized) for s in shares), strict=True)
    return Share(rule, *(sum(column) for column in columns))
