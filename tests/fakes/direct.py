"""A fake registry without a socket: a requests adapter that handles each request in the caller's thread."""

from collections.abc import Callable
from http.client import HTTPMessage
from io import BytesIO
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.structures import CaseInsensitiveDict

from service.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_http import Exchange

Around = Callable[[requests.PreparedRequest, Callable[[], requests.Response]], requests.Response]


def _answered(_: requests.PreparedRequest, answer: Callable[[], requests.Response]) -> requests.Response:
    return answer()


class NetworkAdapter(HTTPAdapter):
    """The real network. around: called with each request and the function that answers it; may do more, or raise."""

    around: Around = staticmethod(_answered)

    def send(self, request: requests.PreparedRequest, *args: Any, **mode: Any) -> requests.Response:
        return self.around(request, lambda: super(NetworkAdapter, self).send(request, *args, **mode))


class DirectAdapter(BaseAdapter):
    """An adapter that takes the place of a session's network. fake: the registry; may be exchanged between requests.

    around: as in NetworkAdapter.
    """

    around: Around = staticmethod(_answered)

    def __init__(self, fake: FakeRegistry | None = None) -> None:
        super().__init__()
        self.fake = fake

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Handle a request. Raises requests.ConnectionError if the fake drops the connection."""
        return self.around(request, lambda: self._answer(request))

    def close(self) -> None:
        """Do nothing: the fake has no connection."""

    def _answer(self, request: requests.PreparedRequest) -> requests.Response:
        assert self.fake is not None, "no registry is there"
        exchange = _DirectExchange(self.fake, request)
        exchange.handle_any()
        if exchange.dropped:
            raise requests.ConnectionError("the connection was closed without an answer", request=request)
        return exchange.response(request)


def connect(client: RegistryClient, adapter: BaseAdapter) -> None:
    """Let a client of the product send its requests through the adapter."""
    client._session.mount(client.url, adapter)


class _DirectExchange(Exchange):
    """One exchange: the fake's own handler, whose reading and writing is replaced."""

    def __init__(self, fake: FakeRegistry, request: requests.PreparedRequest) -> None:
        self._fake = fake
        self.command = str(request.method)
        parts = urlsplit(str(request.url))
        self.path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.headers = HTTPMessage()
        for name, value in request.headers.items():
            self.headers[name] = value
        self.headers["Host"] = parts.netloc
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        self.rfile = BytesIO(content)
        self.wfile = self._written = BytesIO()
        self.client_address = ("127.0.0.1", 50_000)
        self._status = 0
        self._said: CaseInsensitiveDict[str] = CaseInsensitiveDict()

    @property
    def fake(self) -> FakeRegistry:
        return self._fake

    @property
    def dropped(self) -> bool:
        return self._status == 0

    def send_response(self, code: int, message: str | None = None) -> None:
        self._status = code

    def send_header(self, keyword: str, value: str) -> None:
        self._said[keyword] = value

    def end_headers(self) -> None:
        """Do nothing: no answer is buffered."""

    def response(self, request: requests.PreparedRequest) -> requests.Response:
        made: Any = requests.Response()
        made.status_code, made.headers, made.url = self._status, self._said, str(request.url)
        made.request = request
        made._content, made._content_consumed = self._written.getvalue(), True
        return cast(requests.Response, made)
