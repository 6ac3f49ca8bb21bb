"""GET /gate: answer a proxy that asks, before every write to the registry, if the request may pass.

The route needs no token and discloses nothing. The gate answers only clients on this machine and in private networks,
and only if the headers are present in which a proxy names the request: no web page can send these headers to another
origin. A client that can call the gate, or that can send writes to the proxy without a login at the registry, can
register pushes that do not exist. Their number is limited. Such pushes postpone collections, and delay other pushes
while a collection waits for writes in vain. They do no other damage.
"""

import ipaddress
from http import HTTPStatus

from flask import Blueprint, Response, request

from service.collect.gatekeeper import Gatekeeper
from service.domain.collection.gate import WriteRequest, classify, client_of
from service.settings import Settings
from service.web.problems import problem

_RETRY_S = "5"
# Our configuration for nginx sends the first pair; Traefik and Caddy send the second, Kubernetes' ingress the third.
_NAMES = (
    ("X-Original-Method", "X-Original-URI"),
    ("X-Forwarded-Method", "X-Forwarded-Uri"),
    ("X-Original-Method", "X-Original-URL"),
)
_FOREIGN = "only a proxy on this machine or in a private network may use /gate"
_UNNAMED = (
    "the proxy must name the original request: send X-Original-Method and X-Original-URI, or X-Forwarded-Method "
    "and X-Forwarded-Uri"
)
_CLOSED = "a garbage collection is running or about to start: repeat the request"


def blueprint(settings: Settings, keeper: Gatekeeper) -> Blueprint:
    """Return the route of the write gate."""
    pages = Blueprint("gate", __name__)
    if settings.gc.gate == "proxy":
        keeper.start()

    @pages.get("/gate")
    def gate() -> Response:
        if not _is_near(request.remote_addr or ""):
            return problem(HTTPStatus.FORBIDDEN, _FOREIGN)
        write = _write_of_request()
        if write is None:
            return problem(HTTPStatus.FORBIDDEN, _UNNAMED)
        if write.kind == "reads":
            return _pass()
        keeper.start()
        if not keeper.ask(write, _client()):
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, _CLOSED, Retry_After=_RETRY_S)
        response = _pass()
        response.call_on_close(keeper.answered)
        return response

    return pages


def _pass() -> Response:
    return Response(status=HTTPStatus.NO_CONTENT)


def _write_of_request() -> WriteRequest | None:
    """Return the request that the proxy asks for, None if the proxy does not name it.

    A request that is named more than once counts as a write if any of its names is a write.
    """
    # If a proxy forwards such headers of a client, the client can only make its own request wait.
    named = {
        (request.headers[method], request.headers[uri])
        for method, uri in _NAMES
        if method in request.headers and uri in request.headers
    }
    if not named:
        return None
    requests = {classify(method, uri) for method, uri in named}
    writes = [write for write in requests if write.kind != "reads"]
    if len(writes) == 1:
        return writes[0]
    return WriteRequest("writes") if writes else WriteRequest("reads")


def _client() -> str:
    """Return the client, identified by the address that the registry also uses, and reports in its notifications."""
    headers = request.headers
    address = headers.get("X-Forwarded-For") or headers.get("X-Real-IP") or request.remote_addr or ""
    return client_of(address, headers.get("User-Agent", ""))


def _is_near(address: str) -> bool:
    try:
        neighbour = ipaddress.ip_address(address)
    except ValueError:
        # A client of a Unix socket has no address; the client runs on this machine.
        return address == ""
    return neighbour.is_loopback or neighbour.is_private or neighbour.is_link_local
