"""A deletion is counted once, whatever was planned meanwhile."""

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.prune import deleting
from service.store.history import CommitResult
from tests.support.system import SHOP, Make, doomed_system


def test_a_plan_from_before_a_deletion_has_it_neither_counted_nor_logged_twice(make_system: Make) -> None:
    """A one-off said that 11 images were deleted where 8 were: a stale plan dooms deleted images again."""
    system = doomed_system(make_system)
    snapshot = system.store.history.snapshot(SHOP)
    stale = planner.plan(snapshot, system.wiring.policies.current() or Policy(), now_us())
    deleting.delete(system.wiring, SHOP)
    assert system.store.history.commit(snapshot, stale, "doomed") is CommitResult.COMMITTED, "the deletion was no push"
    deleting.delete(system.wiring, SHOP)
    assert system.store.history.doomed(SHOP) == ()
    assert system.store.outbox.counters()["deleted"] == 1
    assert len([entry for entry in system.store.history.entries(SHOP) if entry.action == "pruned"]) == 1
