"""A plan: what is to happen to one repository, with a reason for every tag."""

from dataclasses import dataclass

from service.domain.state import Tag


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one tag, why, and by which rule (None when no rule decided).

    until_us: when time alone may turn a kept one round; None when it cannot. follows: it goes because what it belonged
    to is gone: a referrer's image, or the index that a manifest was part of.
    """

    tag: Tag
    kept: bool
    reason: str
    rule: str | None = None
    until_us: int | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Doomed:
    """A digest to delete, with a verdict for every tag that goes with it, or one without a name where it has no tag."""

    digest: str
    verdicts: tuple[Verdict, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(verdict.tag.name for verdict in self.verdicts if verdict.tag.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen to one repository.

    verdicts: one per tag, newest push first. untagged: one per manifest without a tag. doomed: the digests to delete.
    unresolved: digests of indexes whose children are not known yet; undated: digests whose time of creation a rule
    needs and nobody has looked up; while there are any of these, nothing may be deleted. next_us: when time alone may
    change the plan. hold: the sentence that says why this plan waits for approval, or None;
    hold_under: then the fingerprint of its policy.
    """

    verdicts: tuple[Verdict, ...] = ()
    untagged: tuple[Verdict, ...] = ()
    doomed: tuple[Doomed, ...] = ()
    unresolved: tuple[str, ...] = ()
    undated: tuple[str, ...] = ()
    next_us: int | None = None
    hold: str | None = None
    hold_under: str = ""
