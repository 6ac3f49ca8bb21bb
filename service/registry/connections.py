"""The kept-alive connections to one server."""

import http.client
import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import LifoQueue
from typing import Any, cast
from urllib.parse import unquote

from urllib3 import ProxyManager, make_headers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from service.registry.exchange import USER_AGENT, Answer, AnswerRefused, ConnectionLost, Request, server_of
from service.registry.response import Response

# A registry sends no longer listing in one page.
MOST_BYTES = 64 * 1024 * 1024


class Connections:
    """At most `parallel` connections to one server, shared by threads."""

    def __init__(self, origin: str, proxy: str | None, ca_file: Path | None, parallel: int) -> None:
        """Prepare the connections; nothing is sent yet.

        Args:
            origin: of the server, such as https://registry:5000.
            proxy: its URL.
            ca_file: CA certificates in PEM form; None: those of Mozilla, as with requests.
            parallel: the number of connections.

        Raises:
            InvalidURL: origin is not a URL of HTTP.
            ValueError: the URL of the proxy is of no use.
        """
        scheme, host, port = server_of(origin)
        is_tls = scheme == "https" or (proxy or "").lower().startswith("https:")
        options: dict[str, Any] = {"ssl_context": _tls_context(ca_file)} if is_tls else {}
        self._prefix, self._headers = "", {"User-Agent": USER_AGENT}
        self._tunnel: dict[str, Any] = {}
        if proxy:
            manager = ProxyManager(proxy, proxy_ssl_context=options.get("ssl_context"))
            via: Any = manager.proxy
            login = make_headers(proxy_basic_auth=unquote(via.auth)) if via.auth else {}
            if scheme == "https":
                self._tunnel = {"host": host, "port": port, "headers": login, "scheme": via.scheme}
            else:
                self._prefix, self._headers = origin, {**self._headers, **login}
            host, port = via.host, via.port
            options |= {"proxy": via, "proxy_config": manager.proxy_config}
        self._new = partial(HTTPSConnection if is_tls else HTTPConnection, host, port, **options)
        self._idle: LifoQueue[HTTPConnection] = LifoQueue()
        for _ in range(parallel):
            self._idle.put(self._new())

    def exchange(
        self, request: Request, target: str, connect_s: float, timeout_s: float, most_bytes: int | None
    ) -> Answer:
        """Send a request once and return the answer.

        Args:
            request: to send.
            target: its path, quoted.
            connect_s: for connecting.
            timeout_s: for each wait for bytes.
            most_bytes: as Sender.send has it.

        Raises:
            ConnectionLost: the connection ended before the head of the answer arrived.
            OSError, HTTPException, ValueError: any other failure.
        """
        connection, response = self._idle.get(), None
        try:
            # The server may have closed a connection that was not used for a while.
            if not connection.is_connected:
                self._connect(connection, connect_s)
            connection.timeout = timeout_s
            response = self._begin(connection, request, target)
            bound = MOST_BYTES if most_bytes is None or response.status >= 300 else most_bytes
            content = b"" if most_bytes == 0 else response.body(bound)
            return Answer(request, response.status, response.fields, content)
        finally:
            # Only a connection without the rest of a request or of an answer can be used again.
            if response is None or not response.isclosed():
                connection.close()
                connection = self._new()
            self._idle.put(connection)

    def _connect(self, connection: HTTPConnection, connect_s: float) -> None:
        # Closing a connection ends its tunnel.
        connection.close()
        connection.timeout, connection.response_class = connect_s, Response
        if self._tunnel:
            connection.set_tunnel(**self._tunnel)
        try:
            connection.connect()
        except HTTPError as error:
            # urllib3 hides the error of the socket behind its own.
            raise error.__cause__ or error from None

    def _begin(self, connection: HTTPConnection, request: Request, target: str) -> Response:
        """Send a request and read the head of the answer."""
        headers = {**self._headers, **request.headers}
        try:
            # A server may answer, and hang up, before it has read a body that it refuses.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(request.method, self._prefix + target, request.content, headers)
            # urllib3 itself would copy the answer into objects of its own, which takes as long as all the rest.
            return cast(Response, http.client.HTTPConnection.getresponse(connection))
        except (TimeoutError, AnswerRefused):
            raise
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionLost("the connection ended without an answer") from error


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    # Imported here: a registry without TLS need not wait for it.
    import certifi

    context = create_urllib3_context()
    context.load_verify_locations(ca_file or certifi.where())
    return context
