"""Signing in with a token, and signing out."""

from http import HTTPStatus

from flask import Blueprint, Response, redirect, request, url_for

from service.log import log
from service.settings import Settings
from service.store import Store
from service.web import session
from service.web.access import unset
from service.web.attempts import Attempts
from service.web.pages import rendering


def add(pages: Blueprint, store: Store, settings: Settings) -> None:
    settings, attempts = settings, Attempts()

    @pages.get("/login")
    def log_in_page() -> Response:
        if session.visitor(store, settings):
            return _onwards()
        return _form(unset(settings) or "", HTTPStatus.OK)

    @pages.post("/login")
    def log_in() -> Response:
        address = request.remote_addr or ""
        if wait_s := attempts.wait_s(address):
            response = _form("too many wrong tokens: wait a minute", HTTPStatus.TOO_MANY_REQUESTS)
            response.headers["Retry-After"] = str(round(wait_s) + 1)
            return response
        if session.sign_in(settings, request.form.get("token", "").strip()):
            return _onwards()
        attempts.failed(address)
        log.warning("a login failed", address=address)
        return _form(unset(settings) or "Invalid token: enter tokens.read or tokens.admin.", HTTPStatus.FORBIDDEN)

    @pages.post("/logout")
    def log_out() -> Response:
        session.sign_out(store, settings)
        return redirect(url_for("pages.log_in_page"), 303)  # type: ignore[return-value]


def _form(message: str, status: HTTPStatus) -> Response:
    response = rendering.page("login.html", said=message, next=request.values.get("next", ""))
    response.status_code = status
    return response


def _onwards() -> Response:
    address = rendering.local_path(request.values.get("next", "")) or url_for("pages.overview")
    return redirect(address, 303)  # type: ignore[return-value]
