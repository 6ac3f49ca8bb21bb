"""Plans that wait for approval because they would delete a large part of a repository."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.repositories import ApprovalOfAll, Holds
from service.dispatch import Dispatch
from service.domain.page import page
from service.prune import approvals
from service.reports import held_plans
from service.reports.inventory import Inventory
from service.store import Store
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.paging import PageQuery, cursor_of, place_of
from service.web.api.repository import UNKNOWN, RepositoryPath, known
from service.web.models import ApiRequest, respond

_ORDER = "repository"
NOTHING_WAITS = (
    HTTPStatus.CONFLICT,
    "no plan of this repository waits for approval, or the waiting plan is not the named one",
)
ALL_DECIDED = (HTTPStatus.CONFLICT, "no plan waits for approval, or the waiting plans are not the named ones")


class PlanQuery(ApiRequest):
    """The plan to approve or to reject."""

    plan: str | None = Field(default=None, description="the plan that was reviewed; absent: the plan that waits now")


class PlansQuery(ApiRequest):
    """The plans to approve."""

    plans: str | None = Field(
        default=None,
        description="the plans that were reviewed, as named by GET /holds; absent: the plans that wait now",
    )


class Approval(ApiAnswer):
    """The plan that was approved. The approval is valid for one day."""

    repository: str = Field(description="name of the repository")
    approved: int = Field(description="images whose deletion is approved")


class RejectedPlan(ApiAnswer):
    """The plan that was rejected. It still waits, and can be approved later."""

    repository: str = Field(description="name of the repository")
    plan: str = Field(description="name of the plan; a new plan of the repository needs a new decision")
    kept: int = Field(description="images that are kept")


def add(api: Api, store: Store, inventory: Inventory, dispatch: Dispatch) -> None:
    reading = api.resource("holds")
    approving = api.resource("holds-approval", "admin")

    @reading.get("/holds", responses={HTTPStatus.OK: Holds})
    def holds(query: PageQuery) -> Response:
        """List the plans that wait for approval"""
        waiting = held_plans.waiting(store)
        after = place_of(query.cursor, _ORDER, str)
        listed = page(
            waiting, lambda plan: (plan.hold.repository, ""), descending=False, after=after, limit=query.limit
        )
        return respond(Holds.of(waiting, listed.rows, cursor_of(listed, _ORDER)))

    @approving.post(
        "/holds/<path:repository>/approve",
        responses={HTTPStatus.OK: Approval, **error_responses([UNKNOWN, NOTHING_WAITS])},
    )
    def approve(path: RepositoryPath, query: PlanQuery) -> Response:
        """Approve the waiting plan of a repository, and plan the repository again now"""
        (repository,) = known(inventory, [path.repository])
        approved = approvals.approve(store, dispatch, repository, query.plan, by="API")
        return respond(Approval(repository=repository, approved=approved))

    @approving.post(
        "/holds/<path:repository>/reject",
        responses={HTTPStatus.OK: RejectedPlan, **error_responses([UNKNOWN, NOTHING_WAITS])},
    )
    def reject(path: RepositoryPath, query: PlanQuery) -> Response:
        """Reject the waiting plan of a repository: its images are kept"""
        (repository,) = known(inventory, [path.repository])
        hold = approvals.reject(store, repository, query.plan, by="API")
        return respond(RejectedPlan(repository=repository, plan=hold.plan, kept=len(hold.digests)))

    @approving.post("/holds/approve", responses={HTTPStatus.OK: ApprovalOfAll, **error_responses([ALL_DECIDED])})
    def approve_all(query: PlansQuery) -> Response:
        """Approve every waiting plan that was not rejected, and plan the repositories again now"""
        approved = approvals.approve_all(store, dispatch, query.plans, by="API")
        return respond(ApprovalOfAll(repositories=approved.repositories, approved=approved.images))
