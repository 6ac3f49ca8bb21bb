"""Fail closed (safety rule 9): before anything is doomed, the history must agree with the registry."""

from service.domain.retention.plan import Plan
from service.reconcile.compare import compare
from service.reconcile.confirm import confirm, correct_reports, resolve
from service.registry import Registry
from service.store import Store
from service.store.snapshot import Snapshot

# A restart of the registry is seen only in its next event. Events arrive in order, so after an event this young only
# the events since then can be missing. After a longer silence (the plan was made because of an age or a manual
# deletion), a kept tag may have been moved to a doomed digest without an event.
_SILENT_MS = 10_000


def ensure_compared(store: Store, registry: Registry, snapshot: Snapshot, plan: Plan) -> bool:
    """Compare with the registry whatever the plan depends on; return True if the repository must be planned again."""
    if not snapshot.compared or snapshot.silent_ms > _SILENT_MS:
        compare(store, registry, snapshot)
        return True
    if plan.unresolved:
        resolve(store, registry, snapshot, plan.unresolved)
        return True
    if not plan.doomed:
        return False
    return not confirm(store, registry, snapshot, plan) or correct_reports(store, registry, snapshot, plan)
