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

from service.registry.exchange import USER_AGENT, Answer, AnswerRefused, ConnectionLost, NoAnswer, Request, server_of
from service.registry.response import Response

# The largest answer that is accepted: more than any page of a registry's listing.
MOST_BYTES = 64 * 1024 * 1024


class Connections:
    """At most `parallel` connections to one server, shared by threads."""

    def __init__(self, origin: str, proxy: str | None, ca_file: Path | None, parallel: int) -> None:
        """Prepare the connections; nothing is sent yet.

        Args:
            origin: of the server, such as https://registry:5000.
            proxy: its URL.
            ca_file: CA certificates in PEM form, read for each new connection; None: those of Mozilla.
            parallel: the number of connections.

        Raises:
            InvalidURL: origin is not a URL of HTTP.
            NoAnswer: the URL of the proxy is of no use.
        """
        scheme, host, port = server_of(origin)
        is_tls = scheme == "https" or (proxy or "").lower().startswith("https:")
        options: dict[str, Any] = {"ca_certs": _authorities(ca_file)} if is_tls else {}
        self._prefix, self._headers = "", {"User-Agent": USER_AGENT}
        self._tunnel: dict[str, Any] = {}
        if proxy:
            manager = _proxy_manager(proxy)
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
        connection, is_usable = self._idle.get(), False
        try:
            if not _is_quiet(connection):
                self._connect(connection, connect_s)
            connection.timeout = timeout_s
            response = self._begin(connection, request, target)
            bound = MOST_BYTES if most_bytes is None or response.status >= 300 else most_bytes
            content = b"" if most_bytes == 0 else response.body(bound)
            # Only a connection without the rest of a request or of an answer can be used again.
            is_usable = response.isclosed() and not response.has_rest
            return Answer(request, response.status, response.fields, content)
        finally:
            if not is_usable:
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


def _is_quiet(connection: HTTPConnection) -> bool:
    """True if the connection is open, and the server has sent nothing after its last answer."""
    if connection.sock is None:
        return False
    try:
        # Reading also finds what TLS has received already, which the socket does not show.
        connection.sock.settimeout(0)
        connection.sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def _authorities(ca_file: Path | None) -> str:
    # Imported here: a registry without TLS need not wait for it.
    import certifi

    return str(ca_file or certifi.where())


def _proxy_manager(proxy: str) -> ProxyManager:
    try:
        return ProxyManager(proxy)
    except (HTTPError, ValueError) as error:
        # The URL may hold a password.
        raise NoAnswer(
            "the proxy that the environment names must be http://HOST:PORT or https://HOST:PORT; SOCKS is not supported"
        ) from error
