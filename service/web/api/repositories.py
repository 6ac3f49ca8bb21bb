"""Repositories: which there are, how many tags each has, and when it was pushed to last."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.reports.inventory import RepositoryOrder
from service.web.api.door import door
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.models import Answer
from service.wiring import Wiring


class RepositoriesQuery(SearchQuery):
    """Which repositories, in which order."""

    sort: RepositoryOrder = Field(default="name", description="by what; - turns it round")


class Repository(Answer):
    """A repository at a glance."""

    repository: str = Field(description="its name")
    tags: int = Field(description="how many it has")
    pushed_us: int | None = Field(description="its last push, µs since the epoch; null: none was seen")
    doomed: int = Field(description="images and tags that are to be deleted next")
    held: str | None = Field(description="why its plan waits for approval; null: none waits")
    unheard: int = Field(description="tags that are kept only because the events of their pushes were lost")


class Repositories(Paged):
    """A page of the repositories."""

    total: int = Field(description="how many are meant, on all pages")
    repositories: tuple[Repository, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("repositories", wiring, documented)

    @pages.get("/repositories", responses={HTTPStatus.OK: Repositories})
    def repositories(query: RepositoriesQuery) -> Response:
        """The repositories, searched, sorted and page by page"""
        kind = str if query.sort.endswith("name") else int
        after = place_of(query.cursor, query.sort, kind)
        page = wiring.inventory.repositories(query.finding(), query.sort, after, query.limit)
        unheard = wiring.history.unheard()
        holds = {hold.repository: hold.reason for hold in wiring.history.holds([one.repository for one in page.rows])}
        rows = (
            Repository(
                repository=one.repository,
                tags=one.tags,
                pushed_us=one.pushed_us,
                doomed=one.doomed,
                held=holds.get(one.repository),
                unheard=unheard.get(one.repository, 0),
            )
            for one in page.rows
        )
        return Repositories(next=cursor_of(page, query.sort), total=page.total, repositories=tuple(rows)).response()

    return (pages,)
