"""The search page: repositories, tags, digests and users that match the text of the box in the header."""

from flask import Blueprint, Response, request

from service.domain.history.search import LONGEST_QUERY
from service.reports.search import Search
from service.web.pages import rendering

_LISTED = 100


def add(pages: Blueprint, search: Search) -> None:
    """Add the page."""

    @pages.get("/search")
    def search_page() -> Response:
        text = request.args.get("q", "").strip()[:LONGEST_QUERY]
        result = search.find(text, _LISTED) if text else None
        return rendering.page("search.html", text=text, result=result)
