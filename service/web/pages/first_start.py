"""The checklist of a new installation, on the overview: its steps tick themselves."""

from flask import Blueprint, Response, request

from service.local import snippet
from service.reports.activity import first_start as done_steps
from service.settings import Settings
from service.settings.kinds import listen_host
from service.store import Store
from service.web.pages import rendering

_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared with
_HIDDEN = "<the notify token: tokens.notify>"


def add(pages: Blueprint, store: Store, settings: Settings) -> None:
    """Add the panel, and the list in it that is loaded again and again."""

    @pages.get("/panels/overview/first-start")
    def first_start() -> Response:
        """Return the checklist, or nothing once all steps are done."""
        steps = done_steps(store)
        if steps.has_push and rendering.is_panel():
            return Response("", mimetype="text/html")
        lines = snippet.notifications(_address(settings), _token(settings))
        return rendering.panel("first_start.html", "First steps", steps=steps, lines=lines)

    @pages.get("/panels/overview/first-start/steps")
    def first_steps() -> Response:
        return rendering.panel("first_steps.html", "First steps", steps=done_steps(store))


def _address(settings: Settings) -> str:
    """Return the URL for the registry: the setting, or the address by which the browser reaches this process."""
    is_everywhere = listen_host(settings.listen) in _EVERYWHERE
    return request.url_root.rstrip("/") if is_everywhere else snippet.address(settings)


def _token(settings: Settings) -> str:
    """Return the notify token for a user who may make changes, and a placeholder for others."""
    token = settings.tokens.notify
    if token is None:
        return ""
    return token.get_secret_value() if rendering.current_visitor().may_change else _HIDDEN
