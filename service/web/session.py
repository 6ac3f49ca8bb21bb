"""Sessions of the dashboard: the user who is signed in, and protection against cross-site requests."""

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from flask import Flask, request, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from service.domain.errors import StoreUnavailable
from service.settings import Settings
from service.store import Store
from service.web.access import Right, is_given, is_open, key_of, right_of
from service.web.proxy import proxy_user


@dataclass(frozen=True, slots=True)
class Visitor:
    """A user of the dashboard.

    Attributes:
        right: the right of the user.
        name: the name of the user in the history.
        signed_in: True if the user signed in with a token, and so can sign out.
    """

    right: Right
    name: str
    signed_in: bool = False

    @property
    def may_change(self) -> bool:
        """True if the visitor may make changes."""
        return self.right == "admin"


class _Cookie(SecureCookieSessionInterface):
    """The session cookie: secure if the browser uses https, and sent to the dashboard only."""

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Return False for a request of another site, else the decision of Flask."""
        # The browser sends no session cookie from another site: a new cookie would replace the session of the user.
        return not is_cross_site() and super().should_set_cookie(app, session)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        return request.script_root or "/"


def register(app: Flask, settings: Settings) -> None:
    """Set up sessions that are valid in every web process, and that end once a token changes."""
    app.secret_key = key_of(settings, "dashboard session")
    app.session_interface = _Cookie()
    app.config.update(
        # Browsers share cookies between the ports of a host: two installations on one host need different names.
        SESSION_COOKIE_NAME=f"pushprune-{key_of(settings, 'cookie name').hex()[:8]}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=settings.web.session,
    )


def visitor(store: Store, settings: Settings) -> Visitor | None:
    """Return the user who sent the request; None if the user is unknown.

    Raises:
        StoreUnavailable: Redis is not available, so it is unknown if the user has signed out.
    """
    web = settings.web
    if is_open(settings):
        return Visitor("admin", "dashboard")
    if user := proxy_user(web):
        return Visitor("admin" if user in web.admins else "read", user[:64])
    right: Any = session.get("right")
    if not is_given(settings, right) or "id" not in session or store.ended_sessions.contains(session["id"]):
        return None
    return Visitor(right, f"dashboard ({right})", signed_in=True)


def visitor_if_known(store: Store, settings: Settings) -> Visitor | None:
    """Return the same as `visitor`, and None if Redis is not available."""
    try:
        return visitor(store, settings)
    except StoreUnavailable:
        return None


def sign_in(settings: Settings, token: str) -> bool:
    """Start a session if the token opens the dashboard; return True if so."""
    right = right_of(settings, token)
    if right:
        _begin(right)
    return right is not None


def is_link(store: Store, settings: Settings, secret: str) -> bool:
    """Return True if the one-time link with this secret still signs in. The link is not used up."""
    return is_given(settings, "admin") and store.sign_in_links.contains(secret)


def sign_in_by_link(store: Store, settings: Settings, secret: str) -> bool:
    """Use up a one-time link, and start a session that may make changes; return False for a used or unknown link."""
    is_valid = is_given(settings, "admin") and store.sign_in_links.use(secret)
    if is_valid:
        _begin("admin")
    return is_valid


def _begin(right: Right) -> None:
    session.clear()
    session.update(right=right, id=secrets.token_urlsafe(16), csrf=secrets.token_urlsafe(16))
    session.permanent = True


def sign_out(store: Store, settings: Settings) -> None:
    """End the session: a copy of its cookie is refused as well, by every web process."""
    if "id" in session:
        store.ended_sessions.add(session["id"], settings.web.session)
    session.clear()


def csrf() -> str:
    """Return the token that every form of this session must send."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(16)
    return str(session["csrf"])


def is_cross_site() -> bool:
    """Return True if a page of another site sent the request."""
    origin = request.headers.get("Origin")
    is_other = origin is not None and origin.partition("://")[2] != request.host
    return is_other or request.headers.get("Sec-Fetch-Site") == "cross-site"


def csrf_error() -> str | None:
    """Return the reason to refuse a change as sent by a foreign page; None if a page of this dashboard sent it."""
    origin = request.headers.get("Origin", "")
    if origin.partition("://")[2] != request.host:
        return (
            f"the form was sent by {origin or 'an unknown site'}, and this is {request.host}: if a proxy is in front, "
            "name it in web.proxies and let it forward the Host header"
        )
    if not hmac.compare_digest(request.form.get("csrf", "").encode(), csrf().encode()):
        return "the form has expired: reload the page"
    return None
