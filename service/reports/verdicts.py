"""Plans, explanations and previews of a repository, as the workers would make them now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.explanation import Explanation, explanations, with_hold
from service.domain.retention.freed import Freed, freed
from service.domain.retention.leases import leased_us
from service.domain.retention.plan import Plan, Verdict
from service.domain.retention.preview import Preview, previewed
from service.domain.retention.referrers import Referrer, referrers
from service.domain.retention.sizes import sized
from service.domain.retention.state import State, Tag
from service.settings import PolicySource
from service.settings.reload import NONE_IN_FORCE
from service.store.approvals import Approvals
from service.store.facts import RegistryFacts
from service.store.history import History


@dataclass(frozen=True)
class LiveVerdicts:
    """The tags of a repository at one moment, with their verdicts by the current policy. Shared by threads.

    A verdict is computed only when it is asked for, so that a page of a hundred tags does not cost the verdicts of all.
    """

    _evaluation: Evaluation
    _is_policy_unreadable: bool
    _lock: Lock = field(default_factory=Lock)

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags, the newest push first."""
        return self._evaluation.newest_first

    @property
    def holders(self) -> Mapping[str, tuple[Tag, ...]]:
        """Map each digest to the tags that point at it, by name."""
        return self._evaluation.holders

    @cached_property
    def referrers(self) -> Mapping[str, tuple[Referrer, ...]]:
        """Map the digest of each image to its signatures and other referrers."""
        return referrers(self._evaluation.state, self._evaluation.fixed.parents)

    def leased_us(self, tag: Tag) -> int:
        """Return until when (µs) a user or a restore protects the image from deletion; 0 if neither does."""
        until_us = leased_us(self._evaluation.state, tag.digest)
        return until_us if until_us > self._evaluation.now_us else 0

    def verdict(self, tag: Tag) -> Verdict:
        """The verdict that a plan of this moment has for the tag."""
        with self._lock:
            verdict = self._evaluation.verdict(tag)
        return _without_policy([verdict])[0] if self._is_policy_unreadable else verdict

    def explain(self, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
        """Explain the verdicts on these tags (None: all), the newest push first, without plans that wait."""
        with self._lock:
            explained = explanations(self._evaluation, names)
        if not self._is_policy_unreadable:
            return explained
        return tuple(
            replace(item, verdict=_without_policy([item.verdict])[0], shares=_without_policy(item.shares))
            for item in explained
        )


@dataclass(frozen=True)
class Verdicts:
    """Answers from one snapshot each, that change nothing.

    Every method raises StoreUnavailable if Redis is unavailable.
    """

    history: History
    facts: RegistryFacts
    policies: PolicySource
    approvals: Approvals

    def plan(self, repository: str, policy: Policy | None = None) -> Plan:
        """The plan that would be committed now, by the given policy or the current one; without any, all is kept."""
        return self._plan(self.history.snapshot(repository), policy)

    def live(self, repository: str) -> LiveVerdicts:
        """The tags of a repository, for their verdicts by the current policy."""
        return LiveVerdicts(
            Evaluation(self.history.snapshot(repository), self._policy(None), now_us()), self._is_policy_unreadable
        )

    def of(self, repository: str) -> tuple[Verdict, ...]:
        """The verdict of the current policy on every tag of a repository, the newest push first."""
        return self.plan(repository).verdicts

    def explain(self, repository: str, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
        """Explain the verdicts on these tags of a repository (None: all), the newest push first."""
        explained = self.live(repository).explain(names)
        for hold in self.approvals.holds([repository]):
            explained = with_hold(explained, hold.digests, hold.reason)
        return explained

    def preview(self, repositories: Iterable[str], policy: Policy | None = None) -> tuple[Preview, ...]:
        """The images of each repository that would be deleted, by the given policy or the current one."""
        return tuple(self._preview(repository, policy) for repository in repositories)

    def _preview(self, repository: str, policy: Policy | None) -> Preview:
        # Reading the layers is slow, and only a plan that deletes an image needs them.
        state = self.history.snapshot(repository)
        plan = self._plan(state, policy)
        if not plan.doomed:
            return previewed(repository, plan, Freed())
        layers = self.facts.layers(repository)
        doomed = tuple(
            replace(image, verdicts=tuple(sized(verdict, state, layers) for verdict in image.verdicts))
            for image in plan.doomed
        )
        return previewed(repository, replace(plan, doomed=doomed), freed(state, plan, layers))

    def _plan(self, state: State, policy: Policy | None) -> Plan:
        plan = planner.plan(state, self._policy(policy), now_us())
        return (
            replace(plan, verdicts=_without_policy(plan.verdicts))
            if policy is None and self._is_policy_unreadable
            else plan
        )

    def is_dry(self) -> bool:
        """True if the current policy deletes nothing (`dry_run`)."""
        return self._policy(None).dry_run

    def _policy(self, policy: Policy | None) -> Policy:
        return policy or self.policies.current() or Policy()

    @property
    def _is_policy_unreadable(self) -> bool:
        """True if a policy is configured but none could be read."""
        return self.policies.current() is None and self.policies.error is not None


def _without_policy(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Give each verdict the reason that there is no policy, except manual deletions, which need none."""
    return tuple(verdict if verdict.manual else replace(verdict, reason=NONE_IN_FORCE) for verdict in verdicts)
