"""A page, a panel of it, a refusal, and the way back after a change."""

from typing import Any
from urllib.parse import urlsplit

from flask import Response, flash, g, make_response, redirect, render_template, request, url_for

from service.domain.page import Place
from service.web.session import Visitor

_LONGEST = 256
# What is asked for by POST and answered by a page or panel of its own.
ANSWERS_ITSELF = frozenset({"pages.log_in", "pages.policy_trial", "pages.health_doctor"})


def keep_visitor(visitor: Visitor | None) -> Visitor | None:
    """Who asks, for the rest of the request."""
    g.visitor = visitor
    return visitor


def who() -> Visitor:
    """Who asks."""
    found: Visitor = g.visitor
    return found


def is_panel() -> bool:
    """Whether a page that is there already asks for a part of it."""
    return "HX-Request" in request.headers


def page(template: str, **values: Any) -> Response:
    return make_response(render_template(template, visitor=g.get("visitor"), **values))


def panel(template: str, title: str, **values: Any) -> Response:
    """The panel alone for a page that is there already, else one on a page of its own.

    title: of that page.
    """
    if is_panel():
        return page(f"panels/{template}", **values)
    return page("panel.html", panel=f"panels/{template}", title=title, **values)


def refusal(said: str, status: int) -> Response:
    """One sentence in place of what was asked for."""
    response = page("panels/refusal.html", said=said) if is_panel() else page("refusal.html", said=said)
    response.status_code = status
    return response


def here() -> str:
    """The path and query that are asked for."""
    return request.full_path.rstrip("?")


def asked(*keys: str) -> dict[str, str]:
    """These filters as they are asked for, as far as they are."""
    given = {key: request.args.get(key, "").strip()[:_LONGEST] for key in keys}
    return {key: value for key, value in given.items() if value}


def without(filters: dict[str, str], *keys: str) -> dict[str, str]:
    return {key: value for key, value in filters.items() if key not in keys}


def place(*, is_text: bool) -> Place | None:
    """Behind which row a page begins: its name (after) and what is sorted by (at); None: the first page."""
    given = asked("at", "after")
    if "after" not in given:
        return None
    at = given.get("at", "")
    if is_text:
        return at, given["after"]
    return (int(at) if at.isascii() and at.isdigit() else 0), given["after"]


def local(path: str) -> str | None:
    """The path where it leads to a page of ours, else None."""
    parts = urlsplit(path)
    leads_here = path.startswith("/") and not path.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return request.script_root + path if leads_here and path.isprintable() else None


def back(said: str, *, failed: bool = False) -> Response:
    """To the page that the change was asked for from, with one sentence about it."""
    flash(said[:1000], "failed" if failed else "done")
    return redirect(local(request.form.get("back", "")) or url_for("pages.overview"), 303)  # type: ignore[return-value]
