"""Compare a changed policy with the one before, over all repositories, before any plan is made by it."""

from pydantic import ValidationError

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention.change import changed
from service.log import log
from service.store import Store


def hold_change(store: Store, after: Policy | None) -> None:
    """Have every repository wait for an approval in which the changed policy deletes more, where that is much."""
    if after is None:
        return
    states = (store.history.snapshot(repository) for repository in store.history.repositories())
    change = changed(states, _before(store), after, now_us())
    if not change.is_over(after):
        return
    store.outbox.require_approvals(change.repositories, change.removed, change.of)
    log.warning(
        "the changed policy would delete much: its plans wait for approval",
        tags=change.removed, of=change.of, repositories=len(change.repositories),
        how="see them: pushprune prune --held; approve them: pushprune prune --approve-all",
    )  # fmt: skip


def _before(store: Store) -> Policy | None:
    """Return the policy before; None for none, or for one that only an older version understood: it kept every tag."""
    text = store.outbox.policy_last()
    try:
        return Policy.model_validate_json(text) if text else None
    except ValidationError:
        return None
