"""/openapi.json and /docs: the document of the API, for programs and for people. No other host is contacted."""

import json
from collections.abc import Callable
from functools import cache
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, request

from service.settings import Settings
from service.store import Store
from service.web import reference
from service.web.pages import rendering
from service.web.session import visitor_if_known


def blueprint(document: Callable[[], dict[str, Any]], store: Store, settings: Settings) -> Blueprint:
    """Return the routes of the two pages.

    Neither page needs a token: the content is the same in every installation.

    Args:
        document: writes the OpenAPI document; called at the first request, and not again.
        store: knows the sessions that have ended.
        settings: the tokens.
    """
    pages = Blueprint("docs", __name__)
    written = cache(document)

    @pages.get("/openapi.json")
    def openapi() -> Response:
        return Response(json.dumps(written()), mimetype="application/json")

    @pages.get("/docs")
    def docs() -> Response:
        rendering.keep_visitor(visitor_if_known(store, settings))
        operations = reference.operations(written(), request.url_root)
        groups = [(name, tuple(of)) for name, of in groupby(operations, key=lambda operation: operation.group)]
        about = reference.text(written()["info"]["description"])
        return rendering.sealed(
            rendering.page("docs.html", about=about, groups=groups, objects=reference.objects(written()))
        )

    return pages
