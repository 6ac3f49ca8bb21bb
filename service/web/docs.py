"""/openapi.json and /docs: the document of the API, for programs and for people. No other host is contacted."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Blueprint, Response, render_template


def blueprint(document: Callable[[], dict[str, Any]]) -> Blueprint:
    """Return the routes of the two pages.

    Neither page needs a token: the content is the same in every installation.

    Args:
        document: writes the OpenAPI document; called at the first request, and not again.
    """
    pages = Blueprint("docs", __name__, template_folder="templates")
    written = cache(document)

    @pages.get("/openapi.json")
    def openapi() -> Response:
        return Response(json.dumps(written()), mimetype="application/json")

    @pages.get("/docs")
    def docs() -> Response:
        response = Response(render_template("docs.html", document=written()), mimetype="text/html")
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return response

    return pages
