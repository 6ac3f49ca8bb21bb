"""Decide if a plan must wait for an approval."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.policy.model import Policy
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import State


@dataclass(frozen=True, slots=True)
class Load:
    """The deletions of a plan that count towards a hold.

    Attributes:
        counted: the verdicts. A deletion that follows from another one is not counted: it was approved with that one.
        tags: number of all tags.
        untagged: number of all manifests without a tag.
    """

    counted: tuple[Verdict, ...]
    tags: int
    untagged: int

    @property
    def removed(self) -> int:
        """The number of tags to delete."""
        return sum(1 for verdict in self.counted if verdict.tag.name)

    @property
    def nameless(self) -> int:
        """The number of manifests without a tag to delete."""
        return len(self.counted) - self.removed

    def is_over(self, policy: Policy, pushed: int = 0, lost_tags: int = 0) -> bool:
        """True if the policy does not make these deletions without an approval.

        Args:
            pushed: tags that were pushed since the plan before. Each push causes one deletion.
            lost_tags: manifests that lost their last tag since then.
        """
        removed, nameless = max(0, self.removed - pushed), max(0, self.nameless - lost_tags)
        # Tags are also counted alone: many manifests without a tag must not make the share of the tags look smaller.
        of_all = nameless > 0 and is_over(removed + nameless, self.tags + self.untagged, policy)
        return of_all or is_over(removed, self.tags, policy)


def load_of(doomed: tuple[Doomed, ...], evaluation: Evaluation) -> Load:
    """Return what a plan deletes, as far as it counts towards a hold."""
    state = evaluation.state
    counted = tuple(
        verdict
        for digest in doomed
        if digest.digest not in state.approved
        for verdict in digest.verdicts
        if not (verdict.follows or verdict.manual)
    )
    nameless = sum(1 for untagged in state.untagged if untagged.digest not in evaluation.holders)
    return Load(counted, len(evaluation.whole.tags), nameless)


def hold_reason(load: Load, evaluation: Evaluation) -> str | None:
    """Return why the plan must wait for an approval, or None.

    An image that waits keeps waiting until it is approved, is no longer to be deleted, or the policy changes. Pushes
    that make it a smaller share of the repository do not end the wait.
    """
    if not load.counted:
        return None
    policy, state = evaluation.policy, evaluation.state
    also = f" and {load.nameless} of {load.untagged} manifests without a tag" if load.nameless else ""
    would = f"it would delete {load.removed} of {load.tags} tags{also}"
    if because := _unapproved(load.counted, evaluation):
        return f"{because}: {would}"
    # Recent pushes only lower the load. Counting them takes time, so only a plan that is over without them needs it.
    if load.is_over(policy) and load.is_over(policy, *_pushed_since(evaluation.whole)):
        return f"{would}, more than {policy.hold_over}% (hold_over)"
    waiting = _waiting(load.counted, policy, state)
    if not waiting:
        return None
    still = (
        "1 image of an earlier plan still waits" if waiting == 1 else f"{waiting} images of an earlier plan still wait"
    )
    return f"{would}; {still} for approval (a push is no approval)"


def _pushed_since(state: State) -> tuple[int, int]:
    """Return how many tags were pushed, and how many manifests lost their last tag, since the previous plan.

    After an outage, many pushes are reported together. Had each been planned when it was made, its plan would not have
    waited. In a repository without a plan before, no user has seen the policy at work, so nothing is subtracted there.
    """
    if state.planned_us is None:
        return 0, 0
    pushed = sum(1 for tag in state.tags if tag.is_reported and (tag.pushed_us or 0) > state.planned_us)
    unreported = {tag.name for tag in state.tags if not tag.is_reported}
    lost_tags = sum(
        1 for untagged in state.untagged if untagged.since_us > state.planned_us and untagged.tag not in unreported
    )
    return pushed, lost_tags


def _unapproved(counted: Iterable[Verdict], evaluation: Evaluation) -> str:
    """Return why the deletion of older tags needs an approval; "" if it needs none. See `UnapprovedTags`."""
    before = evaluation.state.unapproved
    if before is None or not any(evaluation.needs_approval(verdict.tag) for verdict in counted):
        return ""
    if before.is_first:
        return "the first clean-up of a repository that was there before pushprune"
    return (
        f"the changed policy would delete {before.removed} of the {before.of} tags of all repositories, "
        "more than hold_over allows; here"
    )


def is_over(count: int, of: int, policy: Policy) -> bool:
    """True if the policy does not delete `count` of `of` tags without an approval."""
    return count > policy.hold_min and count * 100 > policy.hold_over * of


def _waiting(counted: Iterable[Verdict], policy: Policy, state: State) -> int:
    """Return how many of these images already waited for approval under the same policy."""
    if not state.held or state.held_under != policy.fingerprint():
        return 0
    return len({verdict.tag.digest for verdict in counted} & state.held)
