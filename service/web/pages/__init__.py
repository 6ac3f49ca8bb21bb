"""The dashboard. A page is a frame that is served at once; its panels load the parts that take time.

rendering.py     a page, a panel, the redirect after a change
text.py          formats of times, bytes, digests, untrusted text, and YAML
login.py         signing in, with a token or a one-time link, and out
overview.py      current state and recent activity; first_start.py the checklist of a new installation
repositories.py  all repositories; treemap.py lays them out by size
repository.py    one repository: its tags, its trash
selection.py     several tags of a repository: delete or protect them together
tag.py           one tag: the reason of its verdict, and its history
search.py        what matches the text of the search box
activity.py      events, decisions, deletions, rejected events
trash.py         deleted images of all repositories; restore several together
approvals.py     plans that wait for approval
policy.py        the current policy, testing another policy
collection.py    garbage collections
health.py        the doctor, workers, queues, the configuration
"""

import re
from http import HTTPStatus
from types import ModuleType

from flask import Blueprint, Flask, Response, request, session, url_for
from werkzeug.exceptions import HTTPException, NotFound

from service.domain.errors import PushpruneError
from service.settings import Settings
from service.store import Store
from service.web.access import is_cross_origin, is_open
from service.web.pages import (
    activity,
    approvals,
    assets,
    collection,
    first_start,
    health,
    login,
    overview,
    policy,
    rendering,
    repositories,
    repository,
    search,
    selection,
    tag,
    text,
    trash,
)
from service.web.problems import InvalidRequest, fault, no_such_operation, status_of
from service.web.session import Visitor, csrf, csrf_error, is_cross_site, visitor, visitor_if_known
from service.wiring import Wiring, given

_SHOWN = (overview, repositories, activity, trash, approvals, policy, collection, health)
_WITHIN = (login, first_start, repository, search, selection, tag)
_FOREIGN = (
    "no token is set, so only programs and browsers on this machine have access: set tokens.read and tokens.admin"
)
# Forms that need no right to change anything.
_READING = frozenset({"pages.log_in", "pages.log_in_by_link", "pages.log_out", "pages.policy_trial"})
_FOR_ALL = frozenset({"pages.log_in", "pages.log_in_page", "pages.log_in_by_link", "pages.link_page"})


def register(app: Flask, wiring: Wiring) -> None:
    """Add the dashboard to the application."""
    pages = Blueprint("pages", __name__, template_folder="../templates")
    for page in (*_SHOWN, *_WITHIN):
        given(wiring, page.add, pages)
    pages.before_request(lambda: _refused(wiring.store, wiring.settings))
    pages.after_request(rendering.sealed)
    pages.register_error_handler(PushpruneError, _failed)
    pages.register_error_handler(InvalidRequest, lambda error: _failed(PushpruneError("; ".join(error.faults)), 422))
    pages.register_error_handler(HTTPException, lambda error: _failed(error, error.code or 500))
    pages.register_error_handler(Exception, lambda error: _failed(PushpruneError(fault(error)), 500))
    app.register_error_handler(NotFound, lambda error: _no_page(wiring.store, wiring.settings, error))
    text.register(app)
    app.jinja_env.globals["navigation"] = tuple((f"pages.{_endpoint(page)}", page.NAME) for page in _SHOWN)
    app.jinja_env.globals["pending_approvals"] = lambda: approvals.pending(wiring.store)
    app.register_blueprint(pages)
    app.register_blueprint(assets.blueprint(app))


def _endpoint(page: ModuleType) -> str:
    return page.__name__.rpartition(".")[2]


def _refused(store: Store, settings: Settings) -> Response | None:
    """Return the response that rejects the request or asks to sign in, or None if the request is allowed."""
    if is_open(settings) and is_cross_origin(request):
        return rendering.error_page(_FOREIGN, 403)
    if _is_from_elsewhere():
        return rendering.page("again.html")
    # A rejected cross-site POST must not begin a session, so this check comes before csrf().
    if request.method == "POST" and is_cross_site():
        return rendering.error_page(csrf_error() or "a page of another site sent this form", 403)
    csrf()
    user = rendering.keep_visitor(visitor(store, settings))
    if user is None and request.endpoint not in _FOR_ALL:
        return _to_login()
    if request.method == "POST":
        return _unwanted(user)
    return None


def _is_from_elsewhere() -> bool:
    """True for a cross-site GET without a session: SameSite=Strict withheld the cookie."""
    # A reload from our own page makes the browser send the cookie. A new session, started now, would replace the
    # session of the user.
    is_link = request.method == "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site"
    return is_link and "csrf" not in session


def _unwanted(user: Visitor | None) -> Response | None:
    if reason := csrf_error():
        return rendering.error_page(reason, 403)
    if request.endpoint in _READING or (user and user.may_change):
        return None
    return rendering.error_page("read-only: sign in with tokens.admin to make changes", 403)


def _to_login() -> Response:
    """Redirect to the sign-in page. A panel makes the browser load the whole page."""
    address = url_for("pages.log_in_page", next=_current_page() or None)
    if not rendering.is_panel():
        return rendering.see_other(address)
    response = Response("sign in again", 401, mimetype="text/plain")
    response.headers["HX-Redirect"] = address
    return response


def _current_page() -> str:
    """Return the page that the user sees: the page of a panel, or the page that sent a form; "" if unknown."""
    if request.method == "POST":
        return request.form.get("back", "")
    if not rendering.is_panel():
        return rendering.here()
    address = re.sub("^https?://[^/]*", "", request.headers.get("HX-Current-URL", ""))
    return address.removeprefix(request.script_root)


def _no_page(store: Store, settings: Settings, error: NotFound) -> Response:
    """Answer a request for an unknown address: a browser gets a page with navigation, a program a problem document."""
    kinds = request.accept_mimetypes
    if request.url_rule is not None or kinds["text/html"] <= kinds["application/json"]:
        return no_such_operation(error)
    rendering.keep_visitor(visitor_if_known(store, settings))
    return rendering.sealed(rendering.error_page(f"There is no page at {request.path[:200]}.", 404, "Page not found"))


def _failed(error: Exception, status: int = 0) -> Response:
    """Answer an error with one sentence. After a failed change, the page that sent the form shows the sentence."""
    message = error.description if isinstance(error, HTTPException) else str(error)
    status = status or status_of(error) or HTTPStatus.CONFLICT
    if request.method == "POST" and request.endpoint not in rendering.ANSWERS_ITSELF:
        return rendering.redirect_back(message or "the request failed", failed=True)
    title = "Not found" if status == HTTPStatus.NOT_FOUND else ""
    return rendering.error_page(message or "the request failed", status, title)
