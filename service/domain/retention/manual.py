"""What becomes of deletions that somebody asks for by hand."""

from service.domain.policy.model import Policy
from service.domain.retention.plan import Plan, Verdict
from service.domain.retention.state import Asked, State

DRY = "dry_run: nothing is deleted"


def by_hand(asked: Asked) -> str:
    """The reason of what goes because somebody asked for it."""
    return f"deleted by hand by {asked.by}" if asked.by else "to be deleted by hand"


def answers(state: State, policy: Policy, plan: Plan) -> dict[str, str]:
    """What nobody follows of all that was asked for, each with the reason; "" where it says nothing any more.

    plan: of what was asked for, made from this state. A tag that was pushed since, or is gone, is not what was asked
    for; neither is a manifest that stands under a tag of which nobody said that it should go.
    """
    going = {verdict.tag.name or verdict.tag.digest for verdict in _verdicts(plan) if not verdict.kept}
    kept = {verdict.tag.name or verdict.tag.digest: verdict.reason for verdict in _verdicts(plan) if verdict.kept}
    standing = {tag.name: tag.digest for tag in state.tags}
    found: dict[str, str] = {}
    for name, asked in state.asked.items():
        if policy.dry_run and not asked.force:
            found[name] = DRY
        elif name == asked.digest:
            holders = [tag.name for tag in state.tags if tag.digest == name]
            if name not in going and not (holders and going.issuperset(holders)):
                found[name] = "" if holders else kept.get(name, "")
        elif standing.get(name) != asked.digest:
            found[name] = ""
        elif name not in going:
            found[name] = kept[name]
    return found


def _verdicts(plan: Plan) -> tuple[Verdict, ...]:
    return (*plan.verdicts, *plan.untagged)
