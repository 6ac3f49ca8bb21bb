"""The current plan: images to be deleted next, images a dry run would delete, and plans that wait for approval."""

from collections.abc import Iterable
from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.repositories import HeldPlan
from service.answers.verdicts import VerdictAnswer
from service.domain.retention.plan import Doomed
from service.reports.inventory import Inventory, PendingPlan
from service.web.api.api_blueprint import Api
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.models import respond

_ORDER = "name"


class RepositoryPlan(ApiAnswer):
    """The plan of one repository."""

    repository: str = Field(description="name of the repository")
    deletions: tuple[VerdictAnswer, ...] = Field(description="tags and manifests to be deleted next")
    dry_run_deletions: tuple[VerdictAnswer, ...] = Field(
        description="tags and manifests that would be deleted if the policy were not a dry run (dry_run)"
    )
    hold: HeldPlan | None = Field(description="the plan that waits for approval; null: none")

    @classmethod
    def of(cls, plan: PendingPlan) -> "RepositoryPlan":
        """Return the answer for the pending plan of a repository."""
        return cls(
            repository=plan.repository,
            deletions=_rows(plan.repository, plan.deletions),
            dry_run_deletions=_rows(plan.repository, plan.dry_run_deletions),
            hold=HeldPlan.of(plan.held) if plan.held else None,
        )


class Plans(Paged):
    """A page of the repositories with a plan."""

    total: int = Field(description="total number of matches on all pages")
    repositories: tuple[RepositoryPlan, ...] = Field(description="the plans")


def add(api: Api, inventory: Inventory) -> None:
    pages = api.resource("plan")

    @pages.get("/plan", responses={HTTPStatus.OK: Plans})
    def plan(query: SearchQuery) -> Response:
        """List the latest plans: images to be deleted next, dry runs, and plans that wait for approval"""
        page = inventory.plans(query.finding(), place_of(query.cursor, _ORDER, str), query.limit)
        rows = tuple(RepositoryPlan.of(planned) for planned in page.rows)
        return respond(Plans(next=cursor_of(page, _ORDER), total=page.total, repositories=rows))


def _rows(repository: str, images: Iterable[Doomed]) -> tuple[VerdictAnswer, ...]:
    return tuple(VerdictAnswer.of(repository, verdict) for image in images for verdict in image.verdicts)
