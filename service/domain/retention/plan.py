"""A plan: the deletions to make in one repository, with a verdict and a reason for every tag."""

from dataclasses import dataclass, replace

from service.domain.retention.conditions import UnknownAge
from service.domain.retention.state import Tag

# The reason to keep a tag that no rule is about.
NO_RULE = "no rule selects it"
PROTECTED = "protected by the policy"
# The value of `kept_as` while the registry may leave tags out of its listings: any image may have such a tag.
UNLISTED = "a tag that the registry may not list"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about one tag: keep or delete, with the reason.

    Attributes:
        tag: the tag; for a manifest without a tag, a Tag with the name "".
        rule: the rule that decided; None if no rule did.
        until_us: the time at which a kept tag may be deleted by age alone; None if it cannot.
        follows: True if it is deleted because its parent was deleted: the image of a referrer, the index of a part, or
            the last tag of a manifest.
        after: the digest of that image or index, which must still be deleted when this deletion is made; "" if there is
            none.
        kept_as: the tag, or revision of a tag, that keeps the digest, so that only the tag is deleted; "" if there is
            none.
        recorded: True if the history already has the reason of this deletion.
        manual: True if it is a manual deletion, or follows one.
        by: the user who asked for a manual deletion.
        unknown_age: set if the tag is kept only because its age is not known.
        postponed: True if a rule would delete the tag, and only grace or a lease keeps it for now.
    """

    tag: Tag
    kept: bool
    reason: str
    rule: str | None = None
    until_us: int | None = None
    follows: bool = False
    after: str = ""
    kept_as: str = ""
    recorded: bool = False
    manual: bool = False
    by: str = ""
    unknown_age: UnknownAge | None = None
    postponed: bool = False


@dataclass(frozen=True, slots=True)
class Doomed:
    """A digest to delete with its tags. If a kept tag or revision needs the digest, only these tags are deleted.

    Attributes:
        verdicts: one for each tag to delete, or one with the tag name "" for a manifest without a tag.
        policy: the fingerprint of the policy that decided; "" if it was not recorded.
        trace: the context of the span of its plan (`traceparent`); "" if that was not traced.
    """

    digest: str
    verdicts: tuple[Verdict, ...]
    policy: str = ""
    trace: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags to delete."""
        return tuple(verdict.tag.name for verdict in self.verdicts if verdict.tag.name)

    @property
    def only_tags(self) -> bool:
        """True if the manifest is kept and only tags are deleted."""
        return any(verdict.kept_as for verdict in self.verdicts)

    @property
    def is_left(self) -> bool:
        """True if the manifest loses its tags now and is deleted later, once the registry lists every tag."""
        return any(verdict.kept_as == UNLISTED for verdict in self.verdicts)

    @property
    def manual(self) -> bool:
        """True if all of it is deleted manually, whatever the policy says."""
        return all(verdict.manual for verdict in self.verdicts)

    def without(self, untagged: tuple[Verdict, ...]) -> "Doomed":
        """Return what is still to be deleted after these tags were deleted.

        After the last tag, the manifest alone is to be deleted, as one that lost its last tag.
        """
        remaining = tuple(verdict for verdict in self.verdicts if verdict not in untagged)
        if remaining or not untagged:
            return replace(self, verdicts=remaining)
        last = untagged[-1]
        tag = Tag("", self.digest, last.tag.pushed_us, last.tag.size_bytes)
        reason = f"its last tag {last.tag.name} was deleted"
        verdict = Verdict(
            tag, False, reason, last.rule, follows=True, after=last.after, recorded=True, manual=last.manual
        )
        return replace(self, verdicts=(verdict,))


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions about one repository.

    Nothing may be deleted while `unresolved` or `undated` has a digest.

    Attributes:
        verdicts: one per tag, the newest push first. `plan_deletions` leaves out most of the tags that are kept.
        untagged: one per manifest without a tag.
        doomed: the digests to delete, and the tags to delete from digests that are kept.
        unresolved: digests of manifests that must be read first, because their references are not known yet.
        undated: digests whose creation time a rule needs, and that was not read yet.
        unseen: digests of tags of unknown push time, if the time matters. Until it is known, the tags are kept and take
            no slot.
        next_us: when time alone may change the plan; None if it cannot.
        hold: why this plan waits for approval, one sentence; None if it does not wait.
        hold_under: the fingerprint of its policy if it waits, else "".
        is_whole: True if the rules of this repository decided about every tag, and nothing must be read first. Only
            such a plan ends `State.unapproved`.
        settles_under: the fingerprint of its policy if a first clean-up is over for this policy only, because the plan
            deletes no tag that needs an approval; else "".
        unannounced: number of tags that are kept only because their pushes were not reported.
        planned_us: the newest push (µs) that the plan decided about; None if later plans must still see which pushes
            caused its deletions.
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
    settles_under: str = ""
    unannounced: int = 0
    planned_us: int | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A plan that an operator rejected.

    Attributes:
        plan: the name of the plan.
        by: the user who rejected it.
        at_us: when, in µs since the epoch.
    """

    plan: str
    by: str
    at_us: int
