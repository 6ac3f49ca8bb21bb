"""The proxy in front of the dashboard: which clients may name the user, the host and the path in headers.

/notifications never uses these headers: the registry posts there directly, without the proxy.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix

from service.settings.sections import WebSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_BELIEVED = "pushprune.believed"
_NOT_BEHIND = frozenset({"/notifications", "/notifications/"})


class Proxied:
    """A WSGI application under `web.prefix` that accepts forwarded headers from `web.proxies` only."""

    def __init__(self, app: WSGIApplication, web: WebSettings) -> None:
        self._app, self._forwarded = app, ProxyFix(app, x_for=1, x_proto=1, x_host=1, x_prefix=1)
        self._prefix = web.prefix
        self._proxies = tuple(ipaddress.ip_network(name) for name in web.proxies)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request whose path may have the prefix or not."""
        # Some proxies strip the prefix and others leave it: both paths mean the same.
        if self._prefix:
            path = environ["PATH_INFO"]
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                environ["PATH_INFO"] = path.removeprefix(self._prefix)
            environ["SCRIPT_NAME"] = self._prefix
        environ[_BELIEVED] = self._believes(environ.get("REMOTE_ADDR", ""))
        behind = environ[_BELIEVED] and environ["PATH_INFO"] not in _NOT_BEHIND
        return (self._forwarded if behind else self._app)(environ, start_response)

    def _believes(self, address: str) -> bool:
        if not self._proxies:
            return False
        try:
            asking = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(asking in network for network in self._proxies)


def proxy_user(web: WebSettings) -> str:
    """Return the user that the proxy names; "" if no user is named, or if the client is not a trusted proxy."""
    # Any other client could send this header, too, and name any user.
    if not (web.user_header and request.environ.get(_BELIEVED)):
        return ""
    return request.headers.get(web.user_header, "").strip()
