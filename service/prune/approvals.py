"""Plans that wait for approval: which, and letting one go on or refusing it. Whoever decides stands in the history."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.errors import NotWaiting
from service.domain.retention.rejection import Refusal
from service.store.approvals import Hold
from service.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan that waits. refusal: who does not want it, where somebody said so; it waits all the same."""

    hold: Hold
    refusal: Refusal | None


def waiting(wiring: Wiring, repositories: Iterable[str] | None = None) -> tuple[Waiting, ...]:
    """The plans that wait, of these repositories or of all. Raises StoreUnavailable when Redis is away."""
    holds = wiring.history.holds(repositories)
    refused = wiring.rulings.refused(hold.repository for hold in holds)
    return tuple(Waiting(hold, _about(hold, refused.get(hold.repository))) for hold in holds)


def undecided(wiring: Wiring) -> tuple[Hold, ...]:
    """The plans that wait, and that nobody has refused: somebody should look at them. Raises as `waiting`."""
    return tuple(one.hold for one in waiting(wiring) if one.refusal is None)


def approve(wiring: Wiring, repository: str, plan: str | None, *, by: str) -> int:
    """Has the waiting plan of a repository go on; how many images were approved. by: who wants it.

    plan: the one that was looked at; None: whichever waits. Raises NotWaiting where nothing waits, or another plan.
    """
    reason = wiring.history.held(repository) or ""
    approved = wiring.history.approve(repository, plan)
    if not approved:
        raise NotWaiting(_nothing(wiring, repository))
    wiring.rulings.note(repository, "approved", by, f"{approved} images may go: {reason}")
    for name in wiring.outbox.mark_due([repository]):
        wiring.dispatch.enforce(name)
    return approved


@dataclass(frozen=True, slots=True)
class Approved:
    """How many repositories and images were approved together."""

    repositories: int
    images: int


def together(holds: Iterable[Hold]) -> str:
    """Return a name for these plans: another one as soon as any of them is another plan."""
    plans = sorted(f"{hold.repository} {hold.plan}" for hold in holds)
    return hashlib.sha256("\n".join(plans).encode()).hexdigest()[:12]


def approve_all(wiring: Wiring, plans: str | None, *, by: str) -> Approved:
    """Approve every plan that waits and was not rejected.

    Args:
        plans: the name of the plans that were looked at, as `together` gives it; None: whichever wait.
        by: who approves them.

    Raises:
        NotWaiting: nothing waits, or other plans than those.
    """
    holds = undecided(wiring)
    if not holds:
        raise NotWaiting("nothing waits for approval; GET /api/v1/holds lists what does")
    if plans not in (None, together(holds)):
        raise NotWaiting("other plans wait by now; GET /api/v1/holds shows them")
    images = repositories = 0
    for hold in holds:
        try:
            images += approve(wiring, hold.repository, hold.plan, by=by)
        except NotWaiting:
            continue  # another plan took its place just now: it waits for an approval of its own
        repositories += 1
    return Approved(repositories, images)


def refuse(wiring: Wiring, repository: str, plan: str, *, by: str) -> None:
    """Says that this plan is not wanted. It goes on waiting, and nobody is asked about it any more.

    Raises NotWaiting where nothing waits, or another plan.
    """
    hold = next((one for one in wiring.history.holds([repository]) if one.plan == plan), None)
    if hold is None:
        raise NotWaiting(_nothing(wiring, repository))
    wiring.rulings.refuse(repository, plan, by)
    wiring.rulings.note(repository, "refused", by, f"{len(hold.digests)} images stay: {hold.reason}")


def _about(hold: Hold, refusal: Refusal | None) -> Refusal | None:
    return refusal if refusal and refusal.plan == hold.plan else None


def _nothing(wiring: Wiring, repository: str) -> str:
    if wiring.history.held(repository):
        return f"another plan for {repository!r} waits by now; GET /api/v1/holds shows it"
    return f"nothing of {repository!r} waits for approval; GET /api/v1/holds lists what does"
