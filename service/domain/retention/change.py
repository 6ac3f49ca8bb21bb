"""The effect of a changed policy: the number of tags that it would delete and the previous policy keeps."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.state import State


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of a changed policy on all repositories.

    Attributes:
        repositories: the repositories in which it would delete a tag that the previous policy keeps.
        removed: number of such tags.
        of: number of all tags.
    """

    repositories: tuple[str, ...]
    removed: int
    of: int

    def __add__(self, other: "Change") -> "Change":
        return Change(self.repositories + other.repositories, self.removed + other.removed, self.of + other.of)


NO_CHANGE = Change((), 0, 0)


def changed(states: Iterable[State], before: Policy | None, after: Policy, now_us: int) -> Change:
    """Compare two policies over these repositories.

    Args:
        before: the previous policy; None if there was none, which keeps every tag.
    """
    repositories, removed, of = [], 0, 0
    for state in states:
        of += len(state.tags)
        more = _removes(state, before, after, now_us)
        removed += more
        if more:
            repositories.append(state.repository)
    return Change(tuple(repositories), removed, of)


def _removes(state: State, before: Policy | None, after: Policy, now_us: int) -> int:
    if after.dry_run:
        return 0
    plan = planner.plan_deletions(state, after, now_us)
    verdicts = (verdict for doomed in plan.doomed for verdict in doomed.verdicts)
    tags = [verdict.tag for verdict in verdicts if verdict.tag.name and not (verdict.follows or verdict.manual)]
    if before is None or not tags:
        return len(tags)
    evaluation = Evaluation(state, before, now_us)
    return sum(evaluation.verdict(tag).kept for tag in tags)
