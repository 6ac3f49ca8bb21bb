"""The known repositories, each with its number of tags and its last push."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.reports.inventory import RepositoryOrder
from service.web.api.api_blueprint import api_blueprint
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.models import ApiAnswer
from service.wiring import Wiring


class RepositoriesQuery(SearchQuery):
    """Search, order and page of a repository listing."""

    sort: RepositoryOrder = Field(default="name", description="sort field; prefix with - for descending order")


class Repository(ApiAnswer):
    """The summary of a repository."""

    repository: str = Field(description="name of the repository")
    tags: int = Field(description="number of tags")
    pushed_us: int | None = Field(description="last push, µs since the epoch; null: no push was recorded")
    doomed: int = Field(description="images and tags that are to be deleted next")
    held: str | None = Field(description="why its plan waits for approval; null: no plan waits")
    unheard: int = Field(description="number of tags kept only because the events of their pushes were lost")


class Repositories(Paged):
    """A page of the repositories."""

    total: int = Field(description="total number of matches on all pages")
    repositories: tuple[Repository, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("repositories", wiring, documented)

    @pages.get("/repositories", responses={HTTPStatus.OK: Repositories})
    def repositories(query: RepositoriesQuery) -> Response:
        """List the known repositories"""
        kind = str if query.sort.endswith("name") else int
        after = place_of(query.cursor, query.sort, kind)
        page = wiring.inventory.repositories(query.finding(), query.sort, after, query.limit)
        rows = (
            Repository(
                repository=row.repository,
                tags=row.tags,
                pushed_us=row.pushed_us,
                doomed=row.doomed,
                held=row.held,
                unheard=row.unheard,
            )
            for row in page.rows
        )
        return Repositories(next=cursor_of(page, query.sort), total=page.total, repositories=tuple(rows)).response()

    return (pages,)
