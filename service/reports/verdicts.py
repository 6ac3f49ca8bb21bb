"""What the policy makes of the history: plans, explanations and previews, as the workers would decide them now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.evaluation import Weighing
from service.domain.retention.explanation import Explanation, explain
from service.domain.retention.freed import Freed, freed
from service.domain.retention.plan import Plan, Verdict
from service.domain.retention.preview import Preview, previewed
from service.domain.retention.state import State, Tag
from service.settings import PolicySource
from service.settings.reload import NONE_IN_FORCE
from service.store.history import History


@dataclass(frozen=True)
class Weighed:
    """The tags of a repository at one moment, and what today's policy says of each, worked out when it is asked for.

    A page of a hundred of them does not cost the verdicts of all. Several threads may ask.
    """

    _weighing: Weighing
    _is_lost: bool
    _lock: Lock = field(default_factory=Lock)

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The newest push first."""
        return self._weighing.newest_first

    @property
    def holders(self) -> Mapping[str, tuple[Tag, ...]]:
        """digest → the tags that stand there, by name."""
        return self._weighing.holders

    def verdict(self, tag: Tag) -> Verdict:
        """The same as a plan of this moment holds for the tag."""
        with self._lock:
            verdict = self._weighing.verdict(tag)
        return _unruled([verdict])[0] if self._is_lost else verdict


@dataclass(frozen=True)
class Outlook:
    """Answers from one snapshot each; nothing is changed by asking. Raises StoreUnavailable when Redis is away."""

    history: History
    policies: PolicySource

    def plan(self, repository: str, policy: Policy | None = None) -> Plan:
        """What would be committed now, by the policy in force or by this one; nothing goes where there is none."""
        return self._plan(self.history.snapshot(repository), policy)

    def weighed(self, repository: str) -> Weighed:
        """The tags of a repository, to be asked for their verdicts by the policy in force."""
        return Weighed(Weighing(self.history.snapshot(repository), self._policy(None), now_us()), self._is_lost)

    def verdicts(self, repository: str) -> tuple[Verdict, ...]:
        """What today's policy says of every tag of a repository, newest push first."""
        return self.plan(repository).verdicts

    def explain(self, repository: str, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
        """Explains these tags of a repository (all when not given), the newest push first."""
        explained = explain(self.history.snapshot(repository), self._policy(None), now_us(), names)
        if not self._is_lost:
            return explained
        return tuple(replace(one, verdict=_unruled([one.verdict])[0], shares=_unruled(one.shares)) for one in explained)

    def preview(self, repositories: Iterable[str], policy: Policy | None = None) -> tuple[Preview, ...]:
        """What would go from each repository, by the policy in force or by this one."""
        return tuple(self._preview(repository, policy) for repository in repositories)

    def _preview(self, repository: str, policy: Policy | None) -> Preview:
        """Layers are read only for what goes, and never for a plan alone."""
        state = self.history.snapshot(repository)
        plan = self._plan(state, policy)
        return previewed(
            repository, plan, freed(state, plan, self.history.layers(repository)) if plan.doomed else Freed()
        )

    def _plan(self, state: State, policy: Policy | None) -> Plan:
        plan = planner.plan(state, self._policy(policy), now_us())
        return replace(plan, verdicts=_unruled(plan.verdicts)) if policy is None and self._is_lost else plan

    def is_dry(self, policy: Policy | None = None) -> bool:
        """Whether the policy in force, or this one, only shows what would go."""
        return self._policy(policy).dry_run

    def _policy(self, policy: Policy | None) -> Policy:
        return policy or self.policies.current() or Policy()

    @property
    def _is_lost(self) -> bool:
        """Whether there should be a policy, and none is in force."""
        return self.policies.current() is None and self.policies.error is not None


def _unruled(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """What goes by hand goes by no policy."""
    return tuple(verdict if verdict.by_hand else replace(verdict, reason=NONE_IN_FORCE) for verdict in verdicts)
