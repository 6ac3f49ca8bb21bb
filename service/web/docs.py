"""/openapi.json and /docs: the document of the API, for programs and for people. No other host is contacted."""

import json
from collections.abc import Callable
from functools import cache
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, render_template, request
from markupsafe import Markup, escape

from service.settings import Settings
from service.store import Store
from service.web import reference
from service.web.pages import rendering
from service.web.session import visitor_if_known

# The articles are written once; the address at which the browser sees the page then takes the place of this one.
_ADDRESS = "http://pushprune.invalid"


def blueprint(document: Callable[[], dict[str, Any]], store: Store, settings: Settings) -> Blueprint:
    """Return the routes of the two pages.

    Neither page needs a token: the content is the same in every installation.

    Args:
        document: writes the OpenAPI document; called at the first request, and not again.
    """
    pages = Blueprint("docs", __name__)
    written = cache(document)

    @cache
    def articles() -> str:
        operations = reference.operations(written(), _ADDRESS)
        groups = [(name, tuple(of)) for name, of in groupby(operations, key=lambda operation: operation.group)]
        return render_template("docs_articles.html", groups=groups, objects=reference.objects(written()))

    @pages.get("/openapi.json")
    def openapi() -> Response:
        return Response(json.dumps(written()), mimetype="application/json")

    @pages.get("/docs")
    def docs() -> Response:
        rendering.keep_visitor(visitor_if_known(store, settings))
        about = reference.text(written()["info"]["description"])
        address = escape(request.url_root.rstrip("/"))
        shown = Markup(articles().replace(_ADDRESS, address))  # noqa: S704 - the template and escape() made both
        return rendering.sealed(rendering.page("docs.html", about=about, articles=shown))

    return pages
