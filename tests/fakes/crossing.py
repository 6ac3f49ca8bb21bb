"""A proxy between pushprune and a real registry, so that a test can act at the very moment of a write."""

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

from tests.fakes.images import sha256
from tests.fakes.serving import Serving

_BETWEEN_TWO = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass
class Write:
    """A PUT or DELETE of a manifest on its way; the times are those of perf_counter, ended_s is 0 until it has ended.

    reference: the tag or digest in its path; digest: of what is PUT, "" for a DELETE; status: the registry's answer.
    """

    method: str
    reference: str
    digest: str
    began_s: float
    ended_s: float = 0.0
    status: int = 0


class Crossing(Serving):
    """A proxy on 127.0.0.1, from `with` until its end. target: the registry's url, to be set before the first request.

    meet is called with each write right before it is sent on, in the thread that will send it: it should only start
    something. writes: all of them, in the order in which they came.
    """

    def __init__(self, meet: Callable[[Write], object]) -> None:
        self.meet = meet
        self.target = ""
        self.writes: list[Write] = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Exchange)
        cast(Any, server).crossing = self
        self.serve(server)


class _Exchange(BaseHTTPRequestHandler):
    """Pass on the requests of one kept-alive connection, and the answers as they are."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        crossing: Crossing = cast(Any, self.server).crossing
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        write = self._write(body)
        if write:
            crossing.writes.append(write)
            crossing.meet(write)
            write.began_s = time.perf_counter()
        answer, content = self._sent_on(crossing.target, body)
        if write:
            write.ended_s, write.status = time.perf_counter(), answer.status
        self._answer(answer, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: tests read `writes`."""

    def _write(self, body: bytes) -> Write | None:
        _, is_manifest, reference = self.path.partition("/manifests/")
        if not is_manifest or self.command not in ("PUT", "DELETE"):
            return None
        return Write(self.command, reference, sha256(body) if self.command == "PUT" else "", time.perf_counter())

    def _sent_on(self, target: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=240)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _BETWEEN_TWO}
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        """A HEAD is answered with the length that the registry gave: it is that of the manifest."""
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _BETWEEN_TWO:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        if length is not None and answer.status != 304:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)
