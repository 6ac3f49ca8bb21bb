"""Compare a changed policy with the one before, over all repositories, before any plan is made by it."""

from pydantic import ValidationError

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention.change import changed
from service.log import log
from service.wiring import Wiring


def hold_change(wiring: Wiring, after: Policy | None) -> None:
    """Have every repository wait for an approval in which the changed policy deletes more, where that is much."""
    if after is None:
        return
    states = (wiring.history.snapshot(repository) for repository in wiring.history.repositories())
    change = changed(states, _before(wiring), after, now_us())
    if not change.is_over(after):
        return
    wiring.outbox.require_approvals(change.repositories, change.removed, change.of)
    log.warning(
        "the changed policy would delete much: its plans wait for approval",
        tags=change.removed, of=change.of, repositories=len(change.repositories),
        how="see them: pushprune prune --held; approve them: pushprune prune --approve-all",
    )  # fmt: skip


def _before(wiring: Wiring) -> Policy | None:
    """Return the policy before; None for none, or for one that only an older version understood: it kept every tag."""
    text = wiring.outbox.policy_last()
    try:
        return Policy.model_validate_json(text) if text else None
    except ValidationError:
        return None
