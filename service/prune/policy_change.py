"""Compare a changed policy with the previous one, over all repositories, before any plan is made by it."""

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError

from service.clock import now_us
from service.domain.errors import StoreDamaged
from service.domain.policy.model import Policy
from service.domain.retention.change import NO_CHANGE, Change, changed
from service.domain.retention.hold import is_over
from service.log import log
from service.settings import PolicySource
from service.store import Store
from service.store.chunks import chunks
from service.store.policy_changes import PolicyComparison
from service.store.snapshot import Snapshot

# The rest of a sweep waits for no longer than this, in each stage.
SLICE_S = 1.0


def has_policy_in_force(policies: PolicySource, snapshot: Snapshot) -> bool:
    """Return True if this worker has read the policy in force, and no changed policy is compared with that one."""
    policies.current()
    return snapshot.policy in ("", policies.digest)


def follow_policy(store: Store, policies: PolicySource) -> bool:
    """Put a changed policy in force, once it was compared with the previous one; work for a slice of time.

    The policy in force stays while the workers have read different ones. A worker that cannot read its policy file
    decides nothing: others may have read theirs, and the operator will correct the file.

    Returns:
        True once the changed policy is in force. The next call continues otherwise.
    """
    current, changes = policies.current(), store.policy_changes
    digest, text, is_read = policies.digest, policies.written, policies.error is None
    # Another thread may have read a changed policy meanwhile. Without any policy, there is none to record.
    if policies.current() is not current or (current is None and not is_read):
        return False
    comparison = changes.begin(digest, text, is_read=is_read)
    if comparison and comparison.stage == "compare":
        comparison = _compare(store, comparison, current)
    if comparison:
        comparison = mark_all_due(store, comparison)
    return comparison is not None and changes.apply(comparison, text)


def _compare(store: Store, comparison: PolicyComparison, after: Policy | None) -> PolicyComparison | None:
    """Require an approval in every repository from which the changed policy deletes tags, if these are many in total.

    Counted are tags that the policy before keeps.

    Args:
        after: the changed policy; None if the policy was removed, so that every tag is kept.

    Returns:
        None until all repositories were compared, and the approvals are required.
    """
    # A removed policy deletes nothing.
    if after is None:
        return store.policy_changes.note(replace(comparison, stage="due"))
    before, effect, end_s = _policy(store.policy_changes.last()), NO_CHANGE, time.monotonic() + SLICE_S
    names = _remaining(store, comparison)
    for name in names:
        effect += _effect(store, name, before, after)
        comparison = replace(comparison, cursor=name)
        if time.monotonic() > end_s:
            break
    # Without a new record if nothing is left: another worker may be requiring the approvals, which can take longer than
    # the next worker needs to come here.
    noted = store.policy_changes.note(comparison, effect) if names else comparison
    if noted is None or (names and noted.cursor != names[-1]):
        return None
    if is_over(noted.removed, noted.of, after):
        store.policy_changes.require_approvals(noted)
        log.warning(
            "the changed policy would delete many tags: its plans wait for approval",
            tags=noted.removed, of=noted.of,
            how="see them: pushprune prune --held; approve them: pushprune prune --approve-all",
        )  # fmt: skip
    return store.policy_changes.note(replace(noted, stage="due", cursor=""))


def _effect(store: Store, repository: str, before: Policy | None, after: Policy) -> Change:
    """Return the effect of a changed policy on one repository."""
    try:
        return changed([store.history.snapshot(repository)], before, after, now_us())
    except StoreDamaged:
        # Nothing is planned there either. Once that is corrected, its deletions need an approval if others do.
        return Change((repository,), 0, 0)


def mark_all_due(store: Store, comparison: PolicyComparison) -> PolicyComparison | None:
    """Make every repository due for the changed policy; return None until all are."""
    names, end_s = _remaining(store, comparison), time.monotonic() + SLICE_S
    noted: PolicyComparison | None = comparison
    for part in chunks(names):
        store.outbox.mark_due(part)
        noted = store.policy_changes.note(replace(comparison, cursor=part[-1]))
        if noted is None or (time.monotonic() > end_s and part[-1] != names[-1]):
            return None
        comparison = noted
    return noted


def _remaining(store: Store, comparison: PolicyComparison) -> Sequence[str]:
    names = store.history.repositories()
    return names[bisect_right(names, comparison.cursor) :]


def _policy(text: str) -> Policy | None:
    """Return the previous policy; None (every tag was kept) if there was none, or only an older version reads it."""
    try:
        return Policy.model_validate_json(text) if text else None
    except ValidationError:
        return None
