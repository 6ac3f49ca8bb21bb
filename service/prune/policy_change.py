"""Compare a changed policy with the one before, over all repositories, before any plan is made by it."""

import time

from pydantic import ValidationError

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention.change import changed
from service.log import log
from service.store import Store

# Other work of a sweep waits for no more than this.
SLICE_S = 1.0


def hold_change(store: Store, after: Policy | None, digest: str) -> bool:
    """Have every repository wait for an approval in which the changed policy deletes more, where that is much.

    Repositories are compared for a slice of time, one worker at a time; the next call continues.

    Args:
        after: the changed policy; None if there is none any more, which keeps every tag.
        digest: of the changed policy. Another digest begins a new comparison.

    Returns:
        True once all repositories were compared.
    """
    if after is None:
        return True
    with store.leases.hold("policy") as lease:
        if lease is None:
            return False
        cursor, change = store.outbox.policy_comparison(digest)
        before, end_s = _before(store), time.monotonic() + SLICE_S
        rest = [repository for repository in store.history.repositories() if repository > cursor]
        while rest:
            cursor = rest.pop(0)
            change += changed([store.history.snapshot(cursor)], before, after, now_us())
            if time.monotonic() > end_s:
                break
        lease.check()
        store.outbox.note_policy_comparison(digest, cursor, change)
        if rest:
            return False
        if change.is_over(after):
            store.outbox.require_approvals(change.repositories, change.removed, change.of)
            log.warning(
                "the changed policy would delete much: its plans wait for approval",
                tags=change.removed, of=change.of, repositories=len(change.repositories),
                how="see them: pushprune prune --held; approve them: pushprune prune --approve-all",
            )  # fmt: skip
        return True


def _before(store: Store) -> Policy | None:
    """Return the policy before; None for none, or for one that only an older version understood: it kept every tag."""
    text = store.outbox.policy_last()
    try:
        return Policy.model_validate_json(text) if text else None
    except ValidationError:
        return None
