"""Fail closed (safety rule 9): before anything is doomed, the history must agree with the registry."""

from service.domain.retention.plan import Plan
from service.reconcile import compare
from service.store.snapshot import Snapshot
from service.wiring import Wiring

# A restart that nobody tells of shows at the next event only. The registry tells in order: who was told of anything so
# long ago has missed no more than what happened since. After a longer silence (age, or somebody's wish, made the plan)
# a tag that is kept may have come to stand at what is doomed.
_SILENT_MS = 10_000


def looked_again(wiring: Wiring, snapshot: Snapshot, plan: Plan) -> bool:
    """True when there was anything to look at: then it is to be planned anew."""
    if not snapshot.compared or snapshot.silent_ms > _SILENT_MS:
        compare.compare(wiring, snapshot)
        return True
    if plan.unresolved:
        compare.resolve(wiring, snapshot, plan.unresolved)
        return True
    if not plan.doomed:
        return False
    return not compare.confirm(wiring, snapshot, plan) or compare.contradicted(wiring, snapshot, plan)
