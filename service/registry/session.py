"""Open the keep-alive HTTP session that every request to a registry or its token server uses."""

import http.client
import io
import socket
import ssl
import time
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers, get_environ_proxies
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.retry import Retry

from service import __version__
from service.domain.errors import ConfigurationError

USER_AGENT = f"pushprune/{__version__}"


def agent_with(word: str, probe: str = "") -> str:
    """Return the User-Agent of a request that changes something. Its event is recognized by the word."""
    return f"{USER_AGENT} ({word}; probe {probe})" if probe else f"{USER_AGENT} ({word})"


# A registry sends no longer listing in one page.
MOST_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 65_536
# For a whole answer after its first byte, however slowly the others arrive.
_ANSWER_S = 60.0


class StaleConnectionRetry(Retry):
    """Send a GET or HEAD once more if a kept-alive connection turns out to be closed, but never after a timeout."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Return what may still be tried. Raises the error of an attempt that timed out."""
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class AnswerTooLarge(requests.RequestException):
    """The answer has no end, or would fill the memory."""


class _TimedBytes(io.RawIOBase):
    """The bytes of one answer: after the deadline, reading fails. A timeout of the socket is for each wait alone."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._end_s: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if self._end_s is not None and time.monotonic() > self._end_s:
            raise TimeoutError(f"the answer takes longer than {_ANSWER_S:g} s")
        count = self._source.readinto(buffer)
        # Before its first byte, a DELETE may rightly take longer than any other answer as a whole.
        self._end_s = self._end_s or time.monotonic() + _ANSWER_S
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """A response whose head and body together must arrive before the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_TimedBytes(self.fp.detach()))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _TimedResponse


class _TLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _TimedResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _BoundedAdapter(HTTPAdapter):
    """Read an answer to its end, within bounds, unless the caller streams it."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        self._pools: dict[tuple[str, Any], Any] = {}
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> urllib3.connectionpool.ConnectionPool:
        """Return the pool of a server. Without a proxy it is remembered: to look it up costs as much as a request."""
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        url = request.url or ""
        origin = url[: url.find("/", len("https://"))]
        pool: urllib3.connectionpool.ConnectionPool | None = self._pools.get((origin, verify))
        # The pool manager closes the pools that it drops.
        if pool is None or getattr(pool, "pool", None) is None:
            pool = super().get_connection_with_tls_context(request, verify, cert=cert)
            self._pools[origin, verify] = pool
        return pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return the URL for the request line: the path, unless there is a proxy."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return the answer, without the cookies, which no session here keeps."""
        response = requests.Response()
        response.status_code, response.reason, response.raw = resp.status, resp.reason, resp
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.url, response.request, response.connection = req.url or "", req, self
        return response

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **options: Any
    ) -> requests.Response:
        response = super().send(request, stream, *args, **options)
        # Refusals and redirects are read here even if the caller streams: requests would read them without a bound.
        if not stream or not response.ok or response.is_redirect:
            read_bounded(response, MOST_BYTES)
        return response


class _UnreadAdapter(_BoundedAdapter):
    """Leave the body of an answer unread: closing the answer ends the connection."""

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **options: Any
    ) -> requests.Response:
        return HTTPAdapter.send(self, request, True, *args, **options)


def read_bounded(response: requests.Response, most_bytes: int) -> bytes:
    """Read and return the body of an answer; `response.content` is the same body afterwards.

    Raises:
        AnswerTooLarge: the body is larger, or is compressed although the request did not allow that.
        urllib3.exceptions.ReadTimeoutError: the answer takes longer than a real one.
    """
    if response._content_consumed:  # type: ignore[attr-defined]
        content = response.content
        if len(content) > most_bytes:
            raise AnswerTooLarge(f"an answer of more than {most_bytes} bytes", response=response)
        return content
    # A few compressed bytes could become gigabytes.
    if response.headers.get("Content-Encoding", "identity") != "identity":
        response.close()
        raise AnswerTooLarge("a compressed answer, which was not asked for", response=response)
    read = bytearray()
    while piece := response.raw.read1(_PIECE_BYTES):
        read += piece
        if len(read) > most_bytes:
            response.close()
            raise AnswerTooLarge(f"an answer of more than {most_bytes} bytes", response=response)
    response._content, response._content_consumed = bytes(read), True  # type: ignore[attr-defined]
    return bytes(read)


class _Anonymous(requests.auth.AuthBase):
    """Add no login. Without this object, requests would look for a password in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def open_session(
    url: str,
    *,
    ca_file: Path | None = None,
    parallel: int = 4,
    auth: requests.auth.AuthBase | None = None,
    reads_bodies: bool = True,
    ca_setting: str = "registry.ca_file",
) -> requests.Session:
    """Open a session for `url` with at most `parallel` connections, shared by threads, without cookies.

    Of the environment only the proxy variables are used, and they are read once, here.

    Args:
        reads_bodies: False if only the heads of answers are of interest.
        ca_setting: the name of the setting of `ca_file`, for the error.

    Raises:
        ConfigurationError: `ca_file` cannot be read or contains no certificate.
    """
    _check_ca_file(ca_file, ca_setting)
    session = requests.Session()
    # Otherwise requests would read the environment at every request, and REQUESTS_CA_BUNDLE would silently take
    # precedence over `ca_file`.
    session.trust_env = False
    session.proxies.update(get_environ_proxies(url))
    session.verify = str(ca_file) if ca_file else True
    session.auth = auth or _Anonymous()
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept-Encoding"] = "identity"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    retry = StaleConnectionRetry(
        total=1,
        connect=0,
        read=1,
        status=0,
        redirect=0,
        other=0,
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )
    adapter = (_BoundedAdapter if reads_bodies else _UnreadAdapter)(
        pool_connections=4, pool_maxsize=parallel, max_retries=retry, pool_block=True
    )
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _check_ca_file(ca_file: Path | None, setting: str) -> None:
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{setting} {ca_file} cannot be used ({error}): it must hold the CA certificate in PEM form"
        ) from error
