"""The dashboard: pages for people. A page is a frame that is there at once; what takes time comes as its panels.

frame.py         a page, a panel, a way back after a change
listings.py      the tags that somebody looks at, not read anew for each look
text.py          how times, bytes, digests and what strangers sent look
written.py       policies and settings as people write them
masking.py       the configuration without its secrets
login.py         signing in and out
overview.py      what happens right now, and happened lately
repositories.py  all of them
repository.py    one of them: its tags, its trash
tag.py           one tag: why it stays or goes, and its time line
activity.py      events, decisions, deletes, what could not be understood
policy.py        the policy in force, plans that wait, trying another
collection.py    garbage collections
health.py        the doctor, workers, queues, the configuration
"""

from types import ModuleType

from flask import Blueprint, Flask, Response, redirect, request, session, url_for
from werkzeug.exceptions import HTTPException

from service.domain.errors import (
    NoSuchRepository,
    NoSuchTag,
    PushpruneError,
    RegistryUnavailable,
    StoreUnavailable,
)
from service.web import trials
from service.web.access import is_foreign, is_open
from service.web.pages import (
    activity,
    assets,
    collection,
    frame,
    health,
    login,
    overview,
    policy,
    repositories,
    repository,
    tag,
    text,
)
from service.web.problems import Faulty, fault
from service.web.session import Visitor, csrf, is_cross_site, stranger, visitor
from service.wiring import Wiring

_SHOWN = (overview, repositories, activity, policy, collection, health)
_WITHIN = (login, repository, tag)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FOREIGN = "without tokens only programs and browsers on this machine may ask: set tokens.read and tokens.admin"
# What may be sent without the right to change anything.
_ASKS = frozenset({"pages.log_in", "pages.log_out", "pages.policy_trial"})
_FOR_ALL = frozenset({"pages.log_in", "pages.log_in_page"})


def register(app: Flask, wiring: Wiring) -> None:
    """Adds the dashboard to the application."""
    pages = Blueprint("pages", __name__, template_folder="../templates")
    for page in (*_SHOWN, *_WITHIN):
        page.add(pages, wiring)
    pages.before_request(lambda: _refused(wiring))
    pages.after_request(_sealed)
    pages.register_error_handler(PushpruneError, _failed)
    pages.register_error_handler(Faulty, lambda error: _failed(PushpruneError("; ".join(error.faults)), 422))
    pages.register_error_handler(HTTPException, lambda error: _failed(error, error.code or 500))
    pages.register_error_handler(Exception, lambda error: _failed(PushpruneError(fault(error)), 500))
    text.register(app)
    app.jinja_env.globals["navigation"] = tuple((f"pages.{_endpoint(page)}", page.NAME) for page in _SHOWN)
    app.register_blueprint(pages)
    app.register_blueprint(assets.blueprint(app))


def _endpoint(page: ModuleType) -> str:
    """The view that shows it is called as its file."""
    return page.__name__.rpartition(".")[2]


def _refused(wiring: Wiring) -> Response | None:
    """The answer that refuses, or asks to sign in; None where the request may go on."""
    settings = wiring.settings
    if is_open(settings) and is_foreign():
        return frame.refusal(_FOREIGN, 403)
    if _is_from_elsewhere():
        return frame.page("again.html")
    if request.method == "POST" and is_cross_site():  # before a session could begin
        return frame.refusal(stranger() or "another site sent this", 403)
    csrf()
    who = frame.keep_visitor(visitor(wiring))
    if who is None and request.endpoint not in _FOR_ALL:
        return _to_login()
    if request.method == "POST":
        return _unwanted(who)
    return None


def _is_from_elsewhere() -> bool:
    """Whether somebody comes over a link on another site, so that his browser keeps his session back.

    It sends it once a page of ours asks; a session begun here and now would take the place of his.
    """
    is_link = request.method == "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site"
    return is_link and "csrf" not in session


def _unwanted(who: Visitor | None) -> Response | None:
    if why := stranger():
        return frame.refusal(why, 403)
    if request.endpoint in _ASKS or (who and who.may_change):
        return None
    return frame.refusal("you may look and change nothing: sign in with tokens.admin for that", 403)


def _to_login() -> Response:
    """A panel has the whole page go there."""
    there = url_for("pages.log_in_page", next=None if frame.is_panel() else frame.here())
    if not frame.is_panel():
        return redirect(there, 303)  # type: ignore[return-value]
    response = Response("sign in again", 401, mimetype="text/plain")
    response.headers["HX-Redirect"] = there
    return response


def _sealed(response: Response) -> Response:
    """Nothing from elsewhere, nothing inline, nothing kept.

    The referrer stays here: without any, browsers would hide the origin of a form too.
    """
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


_STATUS: dict[type[Exception], int] = {
    StoreUnavailable: 503,
    RegistryUnavailable: 502,
    NoSuchRepository: 404,
    NoSuchTag: 404,
    trials.Busy: 503,
    trials.TooLarge: 413,
}


def _failed(error: Exception, status: int = 0) -> Response:
    """One sentence: where a change was asked for, on the page that it was asked for from."""
    said = error.description if isinstance(error, HTTPException) else str(error)
    status = status or next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
    if request.method == "POST" and request.endpoint not in frame.ANSWERS_ITSELF:
        return frame.back(said or "it failed", failed=True)
    return frame.refusal(said or "it failed", status)
