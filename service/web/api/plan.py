"""The current plan: images to be deleted next, images a dry run would delete, and plans that wait for approval."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.retention.plan import Doomed
from service.reports.inventory import PendingPlan
from service.web.api.api_blueprint import api_blueprint
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.models import ApiAnswer
from service.wiring import Wiring

_ORDER = "name"


class PlannedTag(ApiAnswer):
    """A tag to be deleted, or a manifest without a tag."""

    tag: str | None = Field(description="name of the tag; null: a manifest without a tag is deleted")
    reason: str = Field(description="the reason, in words")
    rule: str | None = Field(description="the rule that decided; null: none")
    by: str = Field(description="the user who requested the deletion manually; empty: the policy decided")


class PlannedImage(ApiAnswer):
    """An image to be deleted, or only these tags of it."""

    digest: str = Field(description="digest of the manifest")
    stays_as: str | None = Field(
        description="what keeps the image, so that only the tags are deleted; null: the image is deleted"
    )
    size_bytes: int = Field(description="of the image in bytes, as far as the registry reported it")
    tags: tuple[PlannedTag, ...]

    @classmethod
    def of(cls, doomed: Doomed) -> "PlannedImage":
        return cls(
            digest=doomed.digest,
            stays_as=next((verdict.stays_as for verdict in doomed.verdicts if verdict.stays_as), None),
            size_bytes=max((verdict.tag.size_bytes for verdict in doomed.verdicts), default=0),
            tags=tuple(
                PlannedTag(tag=verdict.tag.name or None, reason=verdict.reason, rule=verdict.rule, by=verdict.by)
                for verdict in doomed.verdicts
            ),
        )


class WaitingPlan(ApiAnswer):
    """A plan that waits for approval."""

    reason: str = Field(description="the reason, in words")
    digests: tuple[str, ...] = Field(description="digests of the images that are deleted once the plan is approved")


class RepositoryPlan(ApiAnswer):
    """The plan of one repository."""

    repository: str = Field(description="name of the repository")
    going: tuple[PlannedImage, ...] = Field(description="images to be deleted next")
    would_go: tuple[PlannedImage, ...] = Field(
        description="images that would be deleted if the policy were not a dry run (dry_run)"
    )
    waiting: WaitingPlan | None = Field(description="the plan that waits for approval; null: none")

    @classmethod
    def of(cls, planned: PendingPlan) -> "RepositoryPlan":
        held = planned.held
        return cls(
            repository=planned.repository,
            going=tuple(PlannedImage.of(doomed) for doomed in planned.going),
            would_go=tuple(PlannedImage.of(doomed) for doomed in planned.would_go),
            waiting=WaitingPlan(reason=held.reason, digests=held.digests) if held else None,
        )


class Plans(Paged):
    """A page of the repositories with a plan."""

    total: int = Field(description="total number of matches on all pages")
    repositories: tuple[RepositoryPlan, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("plan", wiring, documented)

    @pages.get("/plan", responses={HTTPStatus.OK: Plans})
    def plan(query: SearchQuery) -> Response:
        """List the latest plans: images to be deleted next, dry runs, and plans that wait for approval"""
        page = wiring.inventory.plans(query.finding(), place_of(query.cursor, _ORDER, str), query.limit)
        rows = tuple(RepositoryPlan.of(planned) for planned in page.rows)
        return Plans(next=cursor_of(page, _ORDER), total=page.total, repositories=rows).response()

    return (pages,)
