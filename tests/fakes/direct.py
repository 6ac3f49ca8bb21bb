"""A fake registry without a socket: each request is handled in the caller's thread."""

from collections.abc import Callable
from http.client import HTTPMessage, RemoteDisconnected
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from service.registry.client import RegistryClient
from service.registry.exchange import Answer, Request, Sender
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_http import Exchange

Around = Callable[[Request, Callable[[], Answer]], Answer]


def _answered(_: Request, answer: Callable[[], Answer]) -> Answer:
    return answer()


class NetworkSender:
    """The real network. around: called with each request and the function that answers it; may do more, or raise."""

    around: Around = staticmethod(_answered)
    network: Sender

    def send(self, request: Request, **options: Any) -> Answer:
        return self.around(request, lambda: self.network.send(request, **options))


class DirectSender:
    """A sender that takes the place of the network. fake: the registry; may be exchanged between requests.

    around: as in NetworkSender.
    """

    around: Around = staticmethod(_answered)

    def __init__(self, fake: FakeRegistry | None = None) -> None:
        self.fake = fake

    def send(self, request: Request, **_: Any) -> Answer:
        """Handle a request. Raises RemoteDisconnected if the fake drops the connection."""
        return self.around(request, lambda: self._answer(request))

    def _answer(self, request: Request) -> Answer:
        assert self.fake is not None, "no registry is there"
        exchange = _DirectExchange(self.fake, request)
        exchange.handle_any()
        if exchange.dropped:
            raise RemoteDisconnected("the connection was closed without an answer")
        return exchange.answer(request)


def connect(client: RegistryClient, sender: NetworkSender | DirectSender) -> None:
    """Let a client of the product send its requests through the sender."""
    if isinstance(sender, NetworkSender):
        sender.network = client.sender
    client.sender = sender


class _DirectExchange(Exchange):
    """One exchange: the fake's own handler, whose reading and writing is replaced."""

    def __init__(self, fake: FakeRegistry, request: Request) -> None:
        self._fake = fake
        self.command, self.path = request.method, request.path
        self.headers = HTTPMessage()
        for name, value in request.headers.items():
            self.headers[name] = value
        self.headers["Host"] = urlsplit(request.url).netloc
        content = request.content or b""
        # As the network does for every method that may have a body.
        self.headers["Content-Length"] = str(len(content))
        self.rfile = BytesIO(content)
        self.wfile = self._written = BytesIO()
        self.client_address = ("127.0.0.1", 50_000)
        self._status = 0
        self._said: dict[str, tuple[str, ...]] = {}

    @property
    def fake(self) -> FakeRegistry:
        return self._fake

    @property
    def dropped(self) -> bool:
        return self._status == 0

    def send_response(self, code: int, message: str | None = None) -> None:
        self._status = code

    def send_header(self, keyword: str, value: str) -> None:
        self._said[keyword.lower()] = (value,)

    def end_headers(self) -> None:
        """Do nothing: no answer is buffered."""

    def answer(self, request: Request) -> Answer:
        return Answer(request, self._status, self._said, self._written.getvalue())
