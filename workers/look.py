"""Fail closed (safety rule 9): before anything is doomed, the history must agree with the registry."""

from service.domain.plan import Plan
from service.store.snapshot import Snapshot
from service.wiring import Wiring
from workers import reconcile


def looked_again(wiring: Wiring, snapshot: Snapshot, plan: Plan) -> bool:
    """True when there was anything to look at: then it is to be planned anew."""
    if not snapshot.compared:
        reconcile.compare(wiring, snapshot)
        return True
    if plan.unresolved:
        reconcile.resolve(wiring, snapshot, plan.unresolved)
        return True
    return bool(plan.doomed) and not reconcile.confirm(wiring, snapshot, plan)
