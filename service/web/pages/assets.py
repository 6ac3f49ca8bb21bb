"""/static: stylesheets and scripts. Their URLs change with their content, so that browsers may cache them."""

import hashlib
from functools import cache
from importlib.resources import files

from flask import Blueprint, Flask, Response, abort, url_for

_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_ICON = "pushprune.svg"
_YEAR = "public, max-age=31536000, immutable"


def blueprint(app: Flask) -> Blueprint:
    """Return the routes of the assets. They need no login: the package on PyPI contains the same files."""
    assets = Blueprint("assets", __name__)
    app.jinja_env.globals["asset"] = lambda name: url_for("assets.asset", name=name, v=_print(name))

    @assets.get("/static/<name>")
    def asset(name: str) -> Response:
        kind = _KINDS.get(name.rpartition(".")[2])
        content = _content(name) if kind else None
        if content is None:
            abort(404)
        response = Response(content, mimetype=kind)
        response.headers["Cache-Control"] = _YEAR
        return response

    @assets.get("/favicon.ico")
    def icon() -> Response:
        """The icon that a browser requests by default if a page does not name another."""
        return Response(_content(_ICON), mimetype=_KINDS["svg"], headers={"Cache-Control": "public, max-age=86400"})

    return assets


@cache
def _content(name: str) -> bytes | None:
    folder = files("service.web").joinpath("static")
    known = {file.name for file in folder.iterdir()}
    return folder.joinpath(name).read_bytes() if name in known else None


@cache
def _print(name: str) -> str:
    return hashlib.sha256(_content(name) or b"").hexdigest()[:12]
