"""Compare a changed policy with the one before, over all repositories, before any plan is made by it."""

import time
from bisect import bisect_right
from collections import deque

from pydantic import ValidationError

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention.change import NO_CHANGE, changed
from service.log import log
from service.store import Store
from service.store.chunks import chunks

# The rest of a sweep waits for no longer than this.
SLICE_S = 1.0


def hold_change(store: Store, after: Policy | None, digest: str) -> bool:
    """Require an approval in every repository from which the changed policy deletes tags, if these are many in total.

    Counted are tags that the policy before keeps. One worker at a time compares repositories for a slice of time; the
    next call continues.

    Args:
        after: the changed policy; None if the policy was removed, so that every tag is kept.
        digest: of the changed policy. Another digest begins a new comparison.

    Returns:
        True once all repositories were compared, and the approvals are required.
    """
    with store.leases.hold("policy") as lease:
        if lease is None:
            return False
        in_force, text = store.policy_changes.in_force()
        cursor, change = store.policy_changes.comparison(digest, in_force)
        before, since = _policy(text), NO_CHANGE
        # A removed policy deletes nothing.
        names = store.history.repositories() if after else ()
        rest, end_s = deque(names[bisect_right(names, cursor) :]), time.monotonic() + SLICE_S
        while after and rest:
            cursor = rest.popleft()
            since += changed([store.history.snapshot(cursor)], before, after, now_us())
            if time.monotonic() > end_s:
                break
        lease.check()
        change += since
        # Recorded before the approvals: while there is a comparison, plans by the policy before do not drop them.
        name = store.policy_changes.note_comparison(digest, in_force, cursor, change, since)
        if rest:
            return False
        if after and change.is_over(after):
            store.policy_changes.require_approvals(change.repositories, change.removed, change.of)
            log.warning(
                "the changed policy would delete many tags: its plans wait for approval",
                tags=change.removed, of=change.of, repositories=len(change.repositories),
                how="see them: pushprune prune --held; approve them: pushprune prune --approve-all",
            )  # fmt: skip
        return store.policy_changes.note_compared(name)


def mark_all_due(store: Store, digest: str) -> str | None:
    """Make every repository due for the changed policy, for a slice of time; the next call continues.

    Returns:
        The last repository, "" if there is none, once all are due; None before, or if another comparison runs by now.
    """
    names, marked = store.history.repositories(), store.policy_changes.marked_until(digest) or ""
    end_s = time.monotonic() + SLICE_S
    for part in chunks(names[bisect_right(names, marked) :]):
        if not store.policy_changes.mark_due_until(digest, part):
            return None
        marked = part[-1]
        if time.monotonic() > end_s and marked != names[-1]:
            return None
    return marked


def _policy(text: str) -> Policy | None:
    """Return the policy before; None for none, or for one that only an older version understood: it kept every tag."""
    try:
        return Policy.model_validate_json(text) if text else None
    except ValidationError:
        return None
