"""The known repositories, each with its number of tags and its last push."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.repositories import Repository
from service.reports.inventory import Inventory
from service.reports.repository_listing import RepositoryOrder, RepositoryStatus
from service.web.api.api_blueprint import Api
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.models import respond


class RepositoriesQuery(SearchQuery):
    """Search, order and page of a repository listing."""

    sort: RepositoryOrder = Field(
        default="name",
        description="sort field; prefix with - for descending order; expires: the next deletion first",
    )
    status: RepositoryStatus | None = Field(
        default=None,
        description="delete: only repositories with images to be deleted next; held: only those whose plan waits for "
        "approval; absent: all",
    )


class Repositories(Paged):
    """A page of the repositories."""

    total: int = Field(description="total number of matches on all pages")
    repositories: tuple[Repository, ...] = Field(description="the repositories")


def add(api: Api, inventory: Inventory) -> None:
    pages = api.resource("repositories")

    @pages.get("/repositories", responses={HTTPStatus.OK: Repositories})
    def repositories(query: RepositoriesQuery) -> Response:
        """List the known repositories"""
        kind = str if query.sort.endswith("name") else int
        after = place_of(query.cursor, query.sort, kind)
        page = inventory.repositories.page(query.finding(), query.sort, after, query.limit, status=query.status)
        rows = tuple(map(Repository.model_validate, page.rows))
        return respond(Repositories(next=cursor_of(page, query.sort), total=page.total, repositories=rows))
