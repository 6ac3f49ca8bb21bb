"""A server on 127.0.0.1 and a free port that answers from `with` until its end."""

from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Self

_LOOK_S = 0.02


class Serving:
    """A server until the end of its block. url: its address, after `serve`."""

    def serve(self, server: ThreadingHTTPServer) -> None:
        """server: bound already; its connections do not hold up its end."""
        server.daemon_threads, server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self._server = server
        name = type(self).__name__
        self._thread = Thread(target=server.serve_forever, args=(_LOOK_S,), name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
