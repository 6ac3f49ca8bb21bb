"""Repositories, tags, digests and users that match a text."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.search import SearchMatches
from service.domain.history.search import LONGEST_QUERY
from service.reports.search import Search
from service.web.api.api_blueprint import Api
from service.web.models import ApiRequest, respond

_MOST_MATCHES = 200


class SearchText(ApiRequest):
    """The text of a search."""

    q: str = Field(
        min_length=1,
        max_length=LONGEST_QUERY,
        examples=["api"],
        description="a part of the name of a repository, tag or user; REPO:TAG; or a digest, of which 8 hexadecimal "
        "characters suffice",
    )
    limit: int = Field(default=50, ge=1, le=_MOST_MATCHES, description="repositories, tags and users to list, each")


def add(api: Api, search: Search) -> None:
    pages = api.resource("search")

    @pages.get("/search", responses={HTTPStatus.OK: SearchMatches})
    def search_all(query: SearchText) -> Response:
        """Search repositories, tags (deleted ones, too), digests and users"""
        return respond(SearchMatches.model_validate(search.find(query.q, query.limit)))
