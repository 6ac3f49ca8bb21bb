"""The plan as it stands: what is to be deleted next, what would be, and what waits for approval."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.retention.plan import Doomed
from service.reports.inventory import Planned
from service.web.api.door import door
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.models import Answer
from service.wiring import Wiring

_ORDER = "name"


class PlannedTag(Answer):
    """A tag that goes, or a manifest without one."""

    tag: str | None = Field(description="its name; null: the manifest goes, and has none")
    reason: str = Field(description="why, in words")
    rule: str | None = Field(description="the rule that decided; null: none did")
    by: str = Field(description="who asked for it by hand; empty: the policy did")


class PlannedImage(Answer):
    """An image that goes, or of which only these tags go."""

    digest: str = Field(description="of its manifest")
    stays_as: str | None = Field(description="what keeps the image, so that only the tags go; null: it goes")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told")
    tags: tuple[PlannedTag, ...]

    @classmethod
    def of(cls, doomed: Doomed) -> "PlannedImage":
        return cls(
            digest=doomed.digest,
            stays_as=next((verdict.stays_as for verdict in doomed.verdicts if verdict.stays_as), None),
            size_bytes=max((verdict.tag.size_bytes for verdict in doomed.verdicts), default=0),
            tags=tuple(
                PlannedTag(tag=one.tag.name or None, reason=one.reason, rule=one.rule, by=one.by)
                for one in doomed.verdicts
            ),
        )


class WaitingPlan(Answer):
    """A plan that waits for approval."""

    reason: str = Field(description="why, in words")
    digests: tuple[str, ...] = Field(description="of the images that go once it is approved")


class RepositoryPlan(Answer):
    """What is planned for one repository."""

    repository: str = Field(description="its name")
    going: tuple[PlannedImage, ...] = Field(description="what is to be deleted next")
    would_go: tuple[PlannedImage, ...] = Field(description="what would be, as the policy only shows it (dry_run)")
    waiting: WaitingPlan | None = Field(description="the plan that waits for approval; null: none does")

    @classmethod
    def of(cls, planned: Planned) -> "RepositoryPlan":
        held = planned.held
        return cls(
            repository=planned.repository,
            going=tuple(PlannedImage.of(doomed) for doomed in planned.going),
            would_go=tuple(PlannedImage.of(doomed) for doomed in planned.would_go),
            waiting=WaitingPlan(reason=held.reason, digests=held.digests) if held else None,
        )


class Plans(Paged):
    """A page of the repositories for which something is planned."""

    total: int = Field(description="how many these are, on all pages")
    repositories: tuple[RepositoryPlan, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("plan", wiring, documented)

    @pages.get("/plan", responses={HTTPStatus.OK: Plans})
    def plan(query: SearchQuery) -> Response:
        """What is planned as it was decided last: what goes next, what would go, and what waits for approval"""
        page = wiring.inventory.planned(query.finding(), place_of(query.cursor, _ORDER, str), query.limit)
        rows = tuple(RepositoryPlan.of(one) for one in page.rows)
        return Plans(next=cursor_of(page, _ORDER), total=page.total, repositories=rows).response()

    return (pages,)
