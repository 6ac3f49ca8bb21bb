"""Commit a plan and count the result."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from service import tracing
from service.domain.oci.manifest import References, references_of
from service.domain.policy.model import Policy
from service.domain.retention.overtaken import LaterPush, is_still_valid
from service.domain.retention.plan import Plan
from service.registry import Registry
from service.store import Store
from service.store.history import CommitResult, Target
from service.store.snapshot import Snapshot
from service.wiring import Wiring

# Pushes between two attempts to commit the same plan, each a few milliseconds.
_MOST_OVERTAKEN = 10


@dataclass(frozen=True, slots=True)
class Committed:
    """The result of a commit.

    Attributes:
        is_overtaken: True if there were pushes since the snapshot, so that the repository must be planned again.
    """

    result: CommitResult
    is_overtaken: bool = False

    @property
    def is_stale(self) -> bool:
        """True if nothing was committed."""
        return self.result is CommitResult.STALE

    @property
    def is_settled(self) -> bool:
        """True if the repository need not be planned again now."""
        return not (self.is_stale or self.is_overtaken)


def commit(
    store: Store, registry: Registry, snapshot: Snapshot, plan: Plan, target: Target, policy: Policy | None = None
) -> Committed:
    """Commit a plan as `History.commit` does, and count the result in the metrics.

    Args:
        registry: where the indexes are read that were pushed meanwhile.
        policy: the policy that the plan was made by. Pushes that overtook the plan are compared with it.
    """
    committed = Committed(store.history.commit(snapshot, plan, target))
    later = _LaterManifests(registry, snapshot.repository)
    for _ in range(_MOST_OVERTAKEN):
        if policy is None or not plan.doomed or not committed.is_stale:
            break
        since = store.history.pushes_since(snapshot)
        if since is None or not is_still_valid(plan, snapshot, policy, later.read(since.pushes)):
            break
        committed = Committed(store.history.commit(snapshot, plan, target, since), is_overtaken=True)
    if committed.is_overtaken and not committed.is_stale:
        # The plan was committed: a repository that is due again because of later pushes is not overdue.
        store.outbox.succeeded("due", snapshot.repository)
    result = "stale" if committed.is_stale else target
    store.meter.count("plans", result)
    tracing.note(result=result, deletions=len(plan.doomed), hold=plan.hold)
    return committed


class _LaterManifests:
    """A reader of the indexes and referrers that were pushed meanwhile, each once: events may be forged."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self._registry, self._repository = registry, repository
        self._references: dict[str, References | None] = {}

    def read(self, pushes: Iterable[LaterPush]) -> list[LaterPush]:
        """Return the pushes with the references of their manifests; None where the registry does not have it."""
        return [push if push.references else replace(push, references=self._of(push.digest)) for push in pushes]

    def _of(self, digest: str) -> References | None:
        if digest not in self._references:
            manifest = self._registry.client.get(self._repository, digest)
            references = references_of(manifest.media_type, manifest.content) if manifest else None
            self._references[digest] = references if references and references.readable else None
        return self._references[digest]


def commit_deletions(wiring: Wiring, snapshot: Snapshot, plan: Plan, policy: Policy | None, target: Target) -> bool:
    """Commit the deletions of a plan, and send the task that makes them.

    Args:
        policy: the policy that the plan was made by. A deletion is refused later if another policy is in force.

    Returns:
        False if the repository must be planned again.
    """
    name = wiring.policies.name
    # Another thread may have read a changed policy while this one asked the registry.
    if wiring.policies.current() != policy:
        return False
    plan = replace(plan, doomed=tuple(replace(image, policy=name, trace=tracing.context()) for image in plan.doomed))
    committed = commit(wiring.store, wiring.registry, snapshot, plan, target, policy or Policy())
    if committed.result is CommitResult.COMMITTED:
        wiring.dispatch.delete(snapshot.repository)
    return committed.is_settled
