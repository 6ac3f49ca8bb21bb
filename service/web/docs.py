"""/openapi.json and /docs: what the API can do, for programs and for people. Nothing is fetched from elsewhere."""

import json
from typing import Any

from flask import Blueprint, Response, render_template


def blueprint(document: dict[str, Any]) -> Blueprint:
    """document: the OpenAPI document. Neither page needs a token: they say what is the same everywhere."""
    pages = Blueprint("docs", __name__, template_folder="templates")
    text = json.dumps(document)

    @pages.get("/openapi.json")
    def openapi() -> Response:
        return Response(text, mimetype="application/json")

    @pages.get("/docs")
    def docs() -> Response:
        response = Response(render_template("docs.html", document=document), mimetype="text/html")
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return response

    return pages
