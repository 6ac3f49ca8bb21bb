"""A hostile registry: its answers fill neither the memory nor the time of a worker."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.domain.errors import RegistryUnavailable
from service.registry import connections, response
from service.registry.auth import RegistryAuth
from service.registry.client import RegistryClient
from service.registry.docker_config import Credentials
from tests.fakes.registry import FakeRegistry, Login

pytestmark = pytest.mark.slow

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that answers every GET in this way, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def head(handler: BaseHTTPRequestHandler, **headers: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def test_a_listing_that_comes_in_chunks_is_read_whole() -> None:
    """Go sends answers of more than 2 KiB in chunks."""
    names = [f"v{number}" for number in range(50_000)]

    def chunked(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Transfer_Encoding="chunked")
        body = json.dumps({"name": "shop/api", "tags": names}).encode()
        for at in range(0, len(body), 4096):
            piece = body[at : at + 4096]
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    with answering(chunked) as url:
        client = RegistryClient(url)
        for _ in range(3):
            assert list(client.tags("shop/api")) == names


def test_a_body_that_ends_early_is_no_listing() -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Content_Length="100")
        handler.wfile.write(b'{"tags": ["v1"]}')
        handler.close_connection = True

    with answering(short) as url, pytest.raises(RegistryUnavailable):
        RegistryClient(url).tags("shop/api")


def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b'{"tags": [' + b" " * 50_000_000 + b"]}")

    def compressed(handler: BaseHTTPRequestHandler) -> None:
        assert handler.headers["Accept-Encoding"] == "identity"
        head(handler, Content_Encoding="gzip", Content_Length=str(len(bomb)))
        handler.wfile.write(bomb)

    with answering(compressed) as url, pytest.raises(RegistryUnavailable, match="a compressed answer"):
        RegistryClient(url).tags("shop/api")


@pytest.mark.parametrize(
    ("call", "most"),
    [("get", 4 * 1024 * 1024), ("tags", 64 * 1024 * 1024)],
)
def test_an_answer_without_an_end_is_read_up_to_a_bound(call: str, most: int) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Content_Length=str(10**12))
        while True:
            sent.append(handler.wfile.write(b" " * 1_000_000))

    calls: dict[str, Callable[[RegistryClient], object]] = {
        "get": lambda client: client.get("shop/api", "v1"),
        "tags": lambda client: client.tags("shop/api"),
    }
    with answering(endless) as url, pytest.raises(RegistryUnavailable, match=f"more than {most} bytes"):
        calls[call](RegistryClient(url))
    assert sum(sent) < most + 32_000_000, "what the two sockets hold"


@pytest.mark.parametrize("dripping", ["status", "head", "body"])
@pytest.mark.parametrize("call", ["get", "tags"])
def test_an_answer_in_single_bytes_ends_at_the_deadline(
    call: str, dripping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "_ANSWER_S", 0.3)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        if dripping == "body":
            head(handler, Content_Length="100000")
        if dripping == "head":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            handler.wfile.write(b"H")
            threading.Event().wait(0.01)

    with answering(drip) as url:
        client = RegistryClient(url, timeout_s=60)
        with pytest.raises(RegistryUnavailable, match="did not answer within"):
            client.tags("shop/api") if call == "tags" else client.get("shop/api", "v1")


def test_the_answer_of_a_token_server_and_a_refusal_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_BYTES", 10_000)
    with FakeRegistry(login=Login(scheme="token")) as fake:
        auth = RegistryAuth(fake.url, lambda: Credentials(Login().username, Login().password))
        fake.fail_next("GET", "/token", status=200, body=b"x" * 20_000)
        with pytest.raises(RegistryUnavailable, match="more than 10000 bytes"):
            RegistryClient(fake.url, auth=auth).tags("shop/api")
    with FakeRegistry() as fake:
        fake.fail_next("GET", "manifests", status=500, body=b"x" * 20_000)
        with pytest.raises(RegistryUnavailable, match="more than 10000 bytes"):
            RegistryClient(fake.url).get("shop/api", "v1")
