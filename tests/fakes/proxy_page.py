"""A proxy that sends a page of its own, whatever is requested: it leads to no registry."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.serving import Serving


class ProxyPage(Serving):
    """A proxy on 127.0.0.1, from `with` until its end, which answers every DELETE with this status."""

    def __init__(self, status: int) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_DELETE(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Print nothing."""

        self.serve(ThreadingHTTPServer(("127.0.0.1", 0), Page))
