"""Repositories, tags, digests and users that match a text."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.answers.search import SearchMatches
from service.domain.history.search import LONGEST_QUERY
from service.reports.search import Search
from service.settings import Settings
from service.store import Store
from service.web.api.api_blueprint import api_blueprint
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


def blueprints(store: Store, settings: Settings, search: Search, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("search", store, settings, documented)

    @pages.get("/search", responses={HTTPStatus.OK: SearchMatches})
    def search_all(query: SearchText) -> Response:
        """Search repositories, tags (deleted ones, too), digests and users"""
        return respond(SearchMatches.of(search.find(query.q, query.limit)))

    return (pages,)
