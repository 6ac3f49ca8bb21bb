"""Plans that wait for approval, because they would remove much of a repository at once."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field
from werkzeug.exceptions import Conflict

from service.domain.errors import NotWaiting
from service.prune import approvals
from service.web.api.door import door, refusals
from service.web.api.repository import UNKNOWN, RepositoryPath, known
from service.web.models import Answer, Asked
from service.wiring import Wiring

NOTHING_WAITS = (
    HTTPStatus.CONFLICT,
    "nothing of that repository waits for approval, or another plan than the one named",
)
ALL_DECIDED = (HTTPStatus.CONFLICT, "nothing waits for approval, or other plans than those named")


class HeldPlan(Answer):
    """A plan that waits."""

    repository: str = Field(description="its name")
    reason: str = Field(description="why it waits, in words")
    at_us: int = Field(description="since when, µs since the epoch")
    digests: tuple[str, ...] = Field(description="of the images that would go")
    plan: str = Field(description="its name: another as soon as other images would go")
    refused_by: str | None = Field(description="who said that this one is not wanted; null: nobody")


class Holds(Answer):
    """All plans that wait."""

    holds: tuple[HeldPlan, ...]
    plans: str | None = Field(
        description="a name for those that nobody rejected, to approve them together; null: none waits"
    )


class PlanQuery(Asked):
    """Which plan is approved."""

    plan: str | None = Field(default=None, description="the plan that was looked at; absent: whichever waits")


class PlansQuery(Asked):
    """Which plans are approved."""

    plans: str | None = Field(
        default=None, description="the plans that were looked at, as GET /holds names them; absent: whichever wait"
    )


class ApprovalOfAll(Answer):
    """The plans that were approved together; it holds for a day."""

    repositories: int = Field(description="repositories whose plan is approved")
    approved: int = Field(description="images whose deletion is approved")


class Approval(Answer):
    """What was approved; it holds for a day."""

    repository: str = Field(description="its name")
    approved: int = Field(description="images whose deletion is approved")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    return _looking(wiring, documented=documented), _approving(wiring, documented=documented)


def _looking(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = door("holds", wiring, documented)

    @pages.get("/holds", responses={HTTPStatus.OK: Holds})
    def holds() -> Response:
        """The plans that wait for approval"""
        waiting = approvals.waiting(wiring)
        undecided = [one.hold for one in waiting if one.refusal is None]
        plans = (
            HeldPlan(
                repository=one.hold.repository,
                reason=one.hold.reason,
                at_us=one.hold.at_us,
                digests=one.hold.digests,
                plan=one.hold.plan,
                refused_by=one.refusal.by if one.refusal else None,
            )
            for one in waiting
        )
        return Holds(holds=tuple(plans), plans=approvals.together(undecided) if undecided else None).response()

    return pages


def _approving(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = door("holds-approval", wiring, documented, "admin")

    @pages.post(
        "/holds/<path:repository>/approve",
        responses={HTTPStatus.OK: Approval, **refusals([UNKNOWN, NOTHING_WAITS])},
    )
    def approve(path: RepositoryPath, query: PlanQuery) -> Response:
        """Approve the waiting plan of a repository, and have it planned again now"""
        (repository,) = known(wiring, [path.repository])
        try:
            approved = approvals.approve(wiring, repository, query.plan, by="API")
        except NotWaiting as error:
            raise Conflict(str(error)) from error
        return Approval(repository=repository, approved=approved).response()

    @pages.post("/holds/approve", responses={HTTPStatus.OK: ApprovalOfAll, **refusals([ALL_DECIDED])})
    def approve_all(query: PlansQuery) -> Response:
        """Approve every plan that waits and was not rejected, and have the repositories planned again now"""
        try:
            approved = approvals.approve_all(wiring, query.plans, by="API")
        except NotWaiting as error:
            raise Conflict(str(error)) from error
        return ApprovalOfAll(repositories=approved.repositories, approved=approved.images).response()

    return pages
