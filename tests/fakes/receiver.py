"""Receives notifications over HTTP as our service would, and lets a test wait for what it expects."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition
from typing import Any, cast

from tests.fakes.serving import Serving


class Receiver(Serving):
    """A receiver that answers each POST with 202, or as `answer` says of its envelope; events are kept in order."""

    def __init__(self, answer: Callable[[dict[str, Any]], int] = lambda _: 202) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._answer = answer
        self._changed = Condition()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Post)
        cast(Any, server).receiver = self
        self.serve(server)
        self.url += "/notifications"

    def take(self, envelope: dict[str, Any], headers: dict[str, str]) -> int:
        status = self._answer(envelope)
        with self._changed:
            if status < 400:
                self.events += envelope["events"]
                self.headers.append(headers)
            self._changed.notify_all()
        return status

    def wait_for(self, condition: Callable[[list[dict[str, Any]]], bool], timeout_s: float = 240.0) -> None:
        """Wait until the events received so far meet the condition."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self.events), timeout_s):
                raise AssertionError(
                    f"not received within {timeout_s:g} s; what was: {json.dumps(self.events)[-3000:]}"
                )

    def since(self, number: int) -> list[dict[str, Any]]:
        """The events after the first `number` ones."""
        with self._changed:
            return self.events[number:]


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = cast(Any, self.server).receiver.take(json.loads(body), dict(self.headers.items()))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
