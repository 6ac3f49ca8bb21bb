"""The decision about manual deletions."""

from service.domain.policy.model import Policy
from service.domain.retention.plan import Plan, Verdict
from service.domain.retention.state import ManualDeletion, State

DRY = "dry_run: nothing is deleted"


def manual_reason(request: ManualDeletion) -> str:
    """Return the reason of a manual deletion."""
    return f"deleted manually by {request.by}" if request.by else "to be deleted manually"


def rejections(state: State, policy: Policy, plan: Plan) -> dict[str, str]:
    """Return the manual deletions to reject, as tag or digest → reason. An empty reason means: the request is obsolete.

    Args:
        plan: the plan for the manual deletions, made from this state.
    """
    doomed = {verdict.tag.name or verdict.tag.digest for verdict in _verdicts(plan) if not verdict.kept}
    kept = {verdict.tag.name or verdict.tag.digest: verdict.reason for verdict in _verdicts(plan) if verdict.kept}
    digests = {tag.name: tag.digest for tag in state.tags}
    rejected: dict[str, str] = {}
    for name, request in state.manual_deletions.items():
        if policy.dry_run and not request.force:
            rejected[name] = DRY
        elif name == request.digest:
            holders = [tag.name for tag in state.tags if tag.digest == name]
            if name not in doomed and not (holders and doomed.issuperset(holders)):
                # The manifest has a tag now that the user did not ask to delete. So the request is obsolete.
                rejected[name] = "" if holders else kept.get(name, "")
        elif digests.get(name) != request.digest:
            # The tag was pushed to another digest or deleted since. It is no longer the image that the user meant.
            rejected[name] = ""
        elif name not in doomed:
            rejected[name] = kept[name]
    return rejected


def _verdicts(plan: Plan) -> tuple[Verdict, ...]:
    return (*plan.verdicts, *plan.untagged)
