"""A plan: what is to happen to one repository, with a reason for every tag."""

from dataclasses import dataclass, replace

from service.domain.retention.conditions import Doubt
from service.domain.retention.state import Tag

# What keeps an image, as `stays_as`, while the registry may hide tags.
UNLISTED = "a tag that the registry may not list"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one tag, why, and by which rule (None when no rule decided).

    until_us: when time alone may turn a kept one round; None when it cannot. follows: it goes because what it belonged
    to is gone: a referrer's image, the index that a manifest was part of, its last tag. after: the digest of that image
    or index, which must still be gone when it goes; "" where there is none. stays_as: the tag, or revision of one, that
    keeps the digest, so that only the tag goes; "" where nothing does. told: the history says already why it goes.
    by_hand: somebody asked for it, `by`; or it follows what somebody asked for. doubt: set where it is kept only
    because its age is not known.
    """

    tag: Tag
    kept: bool
    reason: str
    rule: str | None = None
    until_us: int | None = None
    follows: bool = False
    after: str = ""
    stays_as: str = ""
    told: bool = False
    by_hand: bool = False
    by: str = ""
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Doomed:
    """A digest to delete, with a verdict for every tag that goes with it, or one without a name where it has no tag.

    Where something keeps the digest it stays, and only these tags of it go. policy: names the policy that said so; ""
    where nobody noted it.
    """

    digest: str
    verdicts: tuple[Verdict, ...]
    policy: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(verdict.tag.name for verdict in self.verdicts if verdict.tag.name)

    @property
    def only_tags(self) -> bool:
        """Whether the manifest stays."""
        return any(verdict.stays_as for verdict in self.verdicts)

    @property
    def is_left(self) -> bool:
        """True if the manifest loses its tags now and is deleted later, once the registry lists every tag."""
        return any(verdict.stays_as == UNLISTED for verdict in self.verdicts)

    @property
    def by_hand(self) -> bool:
        """Whether it goes whatever the policy says."""
        return all(verdict.by_hand for verdict in self.verdicts)

    def without(self, taken: tuple[Verdict, ...]) -> "Doomed":
        """The same once these tags of it are off; without a tag it goes because its last one went."""
        left = tuple(verdict for verdict in self.verdicts if verdict not in taken)
        if left or not taken:
            return replace(self, verdicts=left)
        last = taken[-1]
        tag = Tag("", self.digest, last.tag.pushed_us, last.tag.size_bytes)
        reason = f"its last tag {last.tag.name} was deleted"
        verdict = Verdict(
            tag, False, reason, last.rule, follows=True, after=last.after, told=True, by_hand=last.by_hand
        )
        return replace(self, verdicts=(verdict,))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen to one repository.

    verdicts: one per tag, newest push first. untagged: one per manifest without a tag. doomed: the digests to
    delete, and tags of digests that stay.
    unresolved: digests of indexes whose children are not known yet; undated: digests whose time of creation a rule
    needs and nobody has looked up; while there are any of these, nothing may be deleted. unseen: digests of tags whose
    push nobody saw, where it matters; until they have a time they are kept, and take no slot. next_us: when time alone
    may change the plan. hold: the sentence that says why this plan waits for approval, or None;
    hold_under: then the fingerprint of its policy. is_whole: the rules of this repository had their say about every
    tag, and nothing must be looked up first; only such a plan ends what is `State.unapproved`. unheard: how many tags
    it keeps only because their pushes were not heard.
    """

    verdicts: tuple[Verdict, ...] = ()
    untagged: tuple[Verdict, ...] = ()
    doomed: tuple[Doomed, ...] = ()
    unresolved: tuple[str, ...] = ()
    undated: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    next_us: int | None = None
    hold: str | None = None
    hold_under: str = ""
    is_whole: bool = False
    unheard: int = 0
