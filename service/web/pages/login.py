"""Signing in, with a token or a one-time link, and signing out."""

from http import HTTPStatus

from flask import Blueprint, Response, request, url_for

from service.log import log
from service.settings import Settings
from service.settings.kinds import is_loopback
from service.store import Store
from service.web import session
from service.web.access import is_cross_origin, unset
from service.web.attempts import Attempts
from service.web.pages import rendering

_USED = "This link was used already, or it has expired. `pushprune sign-in` prints a new one."


def add(pages: Blueprint, store: Store, settings: Settings) -> None:
    attempts = Attempts()

    def form(message: str, status: HTTPStatus) -> Response:
        # The path says who runs pushprune and where: only users of this machine may see it. A proxy on this machine
        # speaks for others, by another host name or with this header.
        is_near = is_loopback(request.remote_addr or "") and not is_cross_origin(request)
        is_local = is_near and "X-Forwarded-For" not in request.headers
        folder = settings.data_dir.absolute() / "tokens" if is_local else None
        tokens = folder if folder and folder.is_dir() else None
        response = rendering.page("login.html", said=message, next=request.values.get("next", ""), tokens=tokens)
        response.status_code = status
        return response

    @pages.get("/login")
    def log_in_page() -> Response:
        if session.visitor(store, settings):
            return _onwards()
        return form(unset(settings) or "", HTTPStatus.OK)

    @pages.post("/login")
    def log_in() -> Response:
        address = request.remote_addr or ""
        if wait_s := attempts.wait_s(address):
            response = form("Too many invalid tokens. Wait a minute.", HTTPStatus.TOO_MANY_REQUESTS)
            response.headers["Retry-After"] = str(round(wait_s) + 1)
            return response
        if session.sign_in(settings, request.form.get("token", "").strip()):
            return _onwards()
        attempts.failed(address)
        log.warning("a login failed", address=address)
        return form(unset(settings) or "Invalid token. See below where to find a valid one.", HTTPStatus.FORBIDDEN)

    # A GET does not use the link up: programs that preview links send one, too.
    @pages.get("/login/<secret>")
    def link_page(secret: str) -> Response:
        visitor = session.visitor(store, settings)
        if visitor and visitor.may_change:
            return _onwards()
        if not session.is_link(store, settings, secret):
            return form(_USED, HTTPStatus.GONE)
        return rendering.page("link.html", secret=secret)

    @pages.post("/login/<secret>")
    def log_in_by_link(secret: str) -> Response:
        if not session.sign_in_by_link(store, settings, secret):
            return form(_USED, HTTPStatus.GONE)
        log.info("a user signed in with a one-time link", address=request.remote_addr or "")
        return _onwards()

    @pages.post("/logout")
    def log_out() -> Response:
        session.sign_out(store, settings)
        return rendering.see_other(url_for("pages.log_in_page"))


def _onwards() -> Response:
    return rendering.see_other(rendering.local_path(request.values.get("next", "")))
