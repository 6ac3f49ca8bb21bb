"""/openapi.json and /docs: what the API can do, for programs and for people. Nothing is fetched from elsewhere."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Blueprint, Response, render_template


def blueprint(document: Callable[[], dict[str, Any]]) -> Blueprint:
    """document: writes the OpenAPI document, once somebody asks for it.

    Neither page needs a token: they say what is the same everywhere.
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
