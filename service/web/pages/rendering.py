"""Pages, panels, error responses, and the redirect after a change."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, Response, flash, g, make_response, render_template, request, url_for

from service.domain.errors import ConfigurationError
from service.domain.page import Place
from service.domain.policy.patterns import Matcher
from service.domain.retention.selector import search_matcher
from service.web.session import Visitor

Choice = TypeVar("Choice", bound=str)
Default = TypeVar("Default", bound=str | None)

_LONGEST = 256
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Forms that are answered by a page or a panel, not by a redirect to the page that sent them.
ANSWERS_ITSELF = frozenset(
    {
        "pages.log_in",
        "pages.log_in_by_link",
        "pages.policy_trial",
        "pages.health_doctor",
        "pages.selection_delete",
    }
)


def compile_templates(app: Flask) -> None:
    """Compile all templates, so that no user waits until a page is looked at for the first time."""
    for name in app.jinja_env.list_templates(extensions=["html"]):
        app.jinja_env.get_template(name)


def keep_visitor(visitor: Visitor | None) -> Visitor | None:
    """Store the user for the rest of the request, and return the same user."""
    g.visitor = visitor
    return visitor


def current_visitor() -> Visitor:
    """Return the user of this request."""
    user: Visitor = g.visitor
    return user


def is_panel() -> bool:
    """True if a loaded page requests one of its panels."""
    return "HX-Request" in request.headers


def listing(page: str, panel: str) -> str:
    """Return the endpoint that the links of a listing lead to: its page, or for browsers without scripts its panel."""
    return page if is_panel() else panel


def page(template: str, **values: Any) -> Response:
    return make_response(render_template(template, visitor=g.get("visitor"), **values))


def sealed(response: Response) -> Response:
    """Add the headers that forbid foreign content, inline scripts and caching."""
    response.headers["Content-Security-Policy"] = _POLICY
    # "no-referrer" would also hide the origin of our own forms, which is checked.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def panel(template: str, title: str, **values: Any) -> Response:
    """Return the panel alone for a loaded page, or on a page of its own with this title."""
    if is_panel():
        return page(f"panels/{template}", **values)
    return page("panel.html", panel=f"panels/{template}", title=title, **values)


def error_page(message: str, status: int, title: str = "") -> Response:
    """Return an error response with one sentence, as a panel or as a page with this title."""
    is_away = status == HTTPStatus.SERVICE_UNAVAILABLE and request.method == "GET"
    template = "panels/refusal.html" if is_panel() else "refusal.html"
    response = page(template, said=message, title=title, is_away=is_away)
    response.status_code = status
    return response


def here() -> str:
    """Return the path and the query of this request."""
    return request.full_path.rstrip("?")


def query(*keys: str) -> dict[str, str]:
    """Return these query parameters, without the empty ones."""
    given = {key: request.args.get(key, "").strip()[:_LONGEST] for key in keys}
    return {key: value for key, value in given.items() if value}


def choice(key: str, choices: Iterable[Choice], default: Default) -> Choice | Default:
    """Return the query parameter if it is one of the choices, else the default."""
    given = request.args.get(key, "")
    return next((choice for choice in choices if choice == given), default)


def matcher(field: str) -> Matcher:
    """Return the matcher for the names that a field of the request searches for.

    Raises:
        ConfigurationError: the text is not a valid glob.
    """
    try:
        return search_matcher(request.values.get(field, "").strip())
    except ValueError as error:
        raise ConfigurationError(f"{field}: {error}") from error


def without(filters: dict[str, str], *keys: str) -> dict[str, str]:
    return {key: value for key, value in filters.items() if key not in keys}


def place(*, is_text: bool) -> Place | None:
    """Return the row after which the page begins, or None for the first page.

    The query names the row (`after`) and its sort key (`at`).

    Args:
        is_text: True if the sort key is a text, False if it is a number.
    """
    given = query("at", "after")
    if "after" not in given:
        return None
    at = given.get("at", "")
    if is_text:
        return at, given["after"]
    return (int(at) if at.isascii() and at.isdigit() else 0), given["after"]


def local_path(path: str) -> str | None:
    """Return the path if it is a page of the dashboard, else None."""
    # Browsers read "//host" and "/\\host" as another host.
    leads_here = path.startswith("/") and not path.startswith(("//", "/\\"))
    return request.script_root + path if leads_here and path.isprintable() else None


def redirect_back(message: str, *, failed: bool = False) -> Response:
    """Redirect to the page that sent the form, with one sentence about the change."""
    flash(message[:1000], "failed" if failed else "done")
    return see_other(local_path(request.form.get("back", "")))


def see_other(address: str | None) -> Response:
    """Redirect to a page with GET; None: to the overview."""
    return Response(status=303, headers={"Location": address or url_for("pages.overview")})
