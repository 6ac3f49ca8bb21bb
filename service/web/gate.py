"""GET /gate: whether a request to the registry may pass. A proxy in front of the registry asks, for every write.

It carries no token, and tells nothing. It answers only to neighbours, this machine and private networks, and only with
the headers in which a proxy names the request: no web page can send these to another origin. Whoever can call it, or
write to the proxy without being let in by the registry, can note pushes that are none: a bounded number, which put
collections off, and hold others back while a collection drains in vain. They break nothing.
"""

import ipaddress
from http import HTTPStatus

from flask import Blueprint, Response, request

from service.domain.gate import Wish, client_of, read_wish
from service.web.gatekeeper import Gatekeeper
from service.web.problems import problem
from service.wiring import Wiring

_RETRY_S = "5"
# nginx is told to send the first; Traefik and Caddy send the second, Kubernetes' ingress the third.
_NAMES = (
    ("X-Original-Method", "X-Original-URI"),
    ("X-Forwarded-Method", "X-Forwarded-Uri"),
    ("X-Original-Method", "X-Original-URL"),
)
_FOREIGN = "only a proxy on this machine or in a private network may ask the gate"
_UNNAMED = (
    "a proxy must name the request that it asks for: send X-Original-Method and X-Original-URI, or X-Forwarded-Method "
    "and X-Forwarded-Uri"
)
_CLOSED = "a garbage collection is running or about to: send the request again"


def blueprint(wiring: Wiring, keeper: Gatekeeper | None = None) -> Blueprint:
    pages = Blueprint("gate", __name__)
    keeper = keeper or Gatekeeper(wiring)
    if wiring.settings.gc.gate == "proxy":
        keeper.start()

    @pages.get("/gate")
    def gate() -> Response:
        if not _is_near(request.remote_addr or ""):
            return problem(HTTPStatus.FORBIDDEN, _FOREIGN)
        wish = _wish()
        if wish is None:
            return problem(HTTPStatus.FORBIDDEN, _UNNAMED)
        if wish.kind == "reads":
            return _pass()
        keeper.start()
        if not keeper.ask(wish, _client()):
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, _CLOSED, Retry_After=_RETRY_S)
        response = _pass()
        response.call_on_close(keeper.answered)
        return response

    return pages


def _pass() -> Response:
    return Response(status=HTTPStatus.NO_CONTENT)


def _wish() -> Wish | None:
    """Return the request that the proxy asks for, None if the proxy does not name it.

    Where a client's own headers get past the proxy, they can make it wait and no more.
    """
    told = {
        (request.headers[method], request.headers[uri])
        for method, uri in _NAMES
        if method in request.headers and uri in request.headers
    }
    if not told:
        return None
    wishes = {read_wish(method, uri) for method, uri in told}
    writes = [wish for wish in wishes if wish.kind != "reads"]
    if len(writes) == 1:
        return writes[0]
    return Wish("writes") if writes else Wish("reads")


def _client() -> str:
    """By the address that the registry goes by, and tells in its notifications."""
    headers = request.headers
    address = headers.get("X-Forwarded-For") or headers.get("X-Real-IP") or request.remote_addr or ""
    return client_of(address, headers.get("User-Agent", ""))


def _is_near(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a socket of this machine has no address
        return address == ""
    return found.is_loopback or found.is_private or found.is_link_local
