"""The proxy in front of the dashboard: whose word is taken for who asks, under which name and which path.

What the registry itself asks for (/notifications) never goes by it.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix

from service.settings.sections import Web

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_BELIEVED = "pushprune.believed"
_NOT_BEHIND = frozenset({"/notifications"})


class Proxied:
    """A WSGI application under `web.prefix`, that believes `web.proxies` and nobody else."""

    def __init__(self, app: WSGIApplication, web: Web) -> None:
        self._app, self._forwarded = app, ProxyFix(app, x_for=1, x_proto=1, x_host=1, x_prefix=1)
        self._prefix = web.prefix
        self._proxies = tuple(ipaddress.ip_network(name) for name in web.proxies)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """A path with the prefix and one without mean the same, so that a proxy may strip it or leave it."""
        if self._prefix:
            path = environ["PATH_INFO"]
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                environ["PATH_INFO"] = path.removeprefix(self._prefix)
            environ["SCRIPT_NAME"] = self._prefix
        environ[_BELIEVED] = self._believes(environ.get("REMOTE_ADDR", ""))
        behind = environ[_BELIEVED] and environ["PATH_INFO"] not in _NOT_BEHIND
        return (self._forwarded if behind else self._app)(environ, start_response)

    def _believes(self, address: str) -> bool:
        try:
            asking = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(asking in network for network in self._proxies)


def told_user(web: Web) -> str:
    """Who signed in at the proxy, by its word; "" where it says nothing, or its word is not taken."""
    if not (web.user_header and request.environ.get(_BELIEVED)):
        return ""
    return request.headers.get(web.user_header, "").strip()
