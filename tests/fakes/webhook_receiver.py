"""A receiver of webhooks: it keeps the accepted events, and fails, stalls, redirects or answers 410 as a test wants."""

import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any, cast

from tests.fakes.serving import Serving

# A status, or a status with headers.
Answer = int | tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Message:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class WebhookReceiver(Serving):
    """A receiver that answers each POST with the next of `answers`, then with 202.

    requests: everything that was posted. received: what was answered with 2xx. tls: certificate and key. port:
    0 for any.
    """

    def __init__(self, *answers: Answer, tls: tuple[Path, Path] | None = None, port: int = 0) -> None:
        self.requests: list[Message] = []
        self.received: list[Message] = []
        self._answers = list(answers)
        self._lock = Lock()
        self._released = Event()
        self._released.set()
        server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        cast(Any, server).receiver = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.serve(server)
        self.url = f"{self.url.replace('http:', 'https:') if tls else self.url}/hook"

    def answer(self, *answers: Answer) -> None:
        """Answer the next requests so."""
        with self._lock:
            self._answers += answers

    def stall(self) -> None:
        """Answer nothing until `release`."""
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def take(self, message: Message) -> tuple[int, dict[str, str]]:
        with self._lock:
            self.requests.append(message)
        self._released.wait(240)
        with self._lock:
            answer = self._answers.pop(0) if self._answers else 202
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            if 200 <= status < 300:
                self.received.append(message)
        return status, headers

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the CloudEvents that were received. kind: only those of this type, without `pushprune.`."""
        return list(_of_type((message.json for message in tuple(self.received)), kind))


def _of_type(events: Iterable[dict[str, Any]], kind: str) -> Iterable[dict[str, Any]]:
    return (event for event in events if kind in ("", event["type"].removeprefix("pushprune.")))


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, extra = cast(Any, self.server).receiver.take(Message(self.path, headers, body))
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
