"""The answer of a server: its head is read strictly, and where its body ends is never guessed."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.client import RegistryClient
from service.registry.exchange import Answer, BodyLost, ConnectionLost, Request
from service.registry.session import HttpSession

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


@contextmanager
def answering(*answers: bytes, hangs_up: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one after the other, and the requests that it got; a connection for each."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection = server.accept()[0]
                requests.append(connection.recv(65_536))
                connection.sendall(answer)
                if hangs_up:
                    connection.close()
                else:
                    kept.append(connection)

        kept: list[socket.socket] = []
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
        for connection in kept:
            connection.close()


def get(answer: bytes, method: str = "GET", *, hangs_up: bool = True) -> Answer:
    with answering(answer, hangs_up=hangs_up) as (url, _):
        return HttpSession(url).send(Request(method, f"{url}/v2/"), timeout_s=60)


def test_headers_are_found_in_any_case_and_may_be_repeated() -> None:
    answer = get(OK + b"X-Some:one \r\nx-sOME:  two: three\r\nX-None:\r\n" + EMPTY)
    assert answer.headers["x-some"] == ("one", "two: three")
    assert answer.header("X-SOME") == "one, two: three"
    assert answer.header("X-None") == answer.header("X-Other") == ""


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"HTTP/2 200\r\n" + EMPTY, "a malformed head"),
        (b"HTTP/1.1 2000 OK\r\n" + EMPTY, "a malformed head"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "a malformed head"),
        (b"\r\n" + OK + EMPTY, "a malformed head"),
        (OK + b"no header\r\n" + EMPTY, "a malformed head"),
        (OK + b"X Some: one\r\n" + EMPTY, "a malformed head"),
        (OK + b"X-Some : one\r\n" + EMPTY, "a malformed head"),
        (OK + b"X-Some: one\r\n two\r\n" + EMPTY, "a malformed head"),
        (OK + b"X-Some: one\rX-Other: two\r\n" + EMPTY, "a malformed head"),
        (OK + b"X-Some: \0\r\n" + EMPTY, "a malformed head"),
        (OK + b"X-Some: " + b" " * 200_000 + b"\r\n" + EMPTY, "a malformed head"),
        (OK + b"X-Some: one\r\n" * 101 + EMPTY, "too many headers"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "unknown length"),
        (OK + b"Content-Length: -1\r\n\r\n", "unknown length"),
        (OK + b"Content-Length: 1_0\r\n\r\n", "unknown length"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "unknown length"),
    ],
)
def test_a_head_that_breaks_the_rules_is_no_answer(head: bytes, reason: str) -> None:
    with answering(head) as (url, requests), pytest.raises(RegistryUnavailable, match=reason):
        RegistryClient(url).ping()
    assert len(requests) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        OK,
        OK + b"X-Some: one\r\n",
        OK + b"X-Some: on",
        OK + b"Content-Length: 3\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\nlong\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_an_answer_that_ends_early_is_no_answer(sent: bytes) -> None:
    with answering(sent) as (url, _), pytest.raises((ConnectionLost, BodyLost)):
        HttpSession(url).send(Request("DELETE", f"{url}/v2/"), timeout_s=60)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}{}", b"{}"),
        (OK + b"Transfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n2;x=y\r\n{}\r\n0\r\nX: y\r\n\r\n", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + OK + EMPTY, b""),
        (b"HTTP/1.1 204\n\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
    ],
)
def test_the_body_ends_where_the_head_says(answer: bytes, body: bytes) -> None:
    """The server does not hang up, so a body that is read too far would never end."""
    assert get(answer, hangs_up=False).content == body


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert get(b"HTTP/1.0 200 OK\r\n\r\n{}").content == b"{}"


def test_a_head_that_is_all_that_was_asked_for_has_no_body() -> None:
    assert get(OK + b"Content-Length: 7\r\n\r\n", "HEAD", hangs_up=False).content == b""


@pytest.mark.parametrize("line", [b"HTTP/1.0 200 OK\r\n", OK + b"Connection: Close\r\n"])
def test_a_connection_that_the_server_closes_is_not_used_again(line: bytes) -> None:
    with answering(*[line + EMPTY] * 3, hangs_up=False) as (url, requests):
        session = HttpSession(url, parallel=1)
        statuses = [session.send(Request("DELETE", f"{url}/v2/"), timeout_s=60).status for _ in range(3)]
    assert statuses == [200] * 3
    assert len(requests) == 3


def test_a_connection_that_was_closed_between_two_requests_is_not_used_again() -> None:
    """A DELETE is not sent twice, so it must not be sent where no answer can come from."""
    hung_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                with server.accept()[0] as connection:
                    connection.recv(65_536)
                    connection.sendall(OK + EMPTY)
                hung_up.set()

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        session = HttpSession(url, parallel=1)
        for _ in range(2):
            assert session.send(Request("DELETE", url), timeout_s=60).status == 200
            assert hung_up.wait(60)


@pytest.mark.parametrize("has_blob", [True, False])
def test_a_blob_without_its_first_byte_does_not_exist(has_blob: bool) -> None:
    """A registry with a cache answers 200 for a blob whose data is gone, and sends nothing."""
    digest = "sha256:" + "0" * 64
    with answering(OK + b"Content-Length: 5000\r\n\r\n" + b"x" * has_blob * 5000) as (url, _):
        assert RegistryClient(url).has_blob("shop/api", digest) is has_blob


@pytest.mark.parametrize(
    ("refusal", "call"),
    [
        (b"503 Away", lambda client: client.has_blob("shop/api", "sha256:" + "0" * 64)),
        (b"503 Away", lambda client: client.blob("shop/api", "sha256:" + "0" * 64, 10)),
    ],
)
def test_a_refusal_is_read_whole_however_little_of_a_blob_is(
    refusal: bytes, call: Callable[[RegistryClient], object]
) -> None:
    body = b'{"errors": [{"code": "UNAVAILABLE"}]}'
    answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (refusal, len(body), body)
    with answering(answer) as (url, _), pytest.raises(RegistryUnavailable, match="UNAVAILABLE"):
        call(RegistryClient(url))


def test_a_request_cannot_be_split_in_two() -> None:
    with answering(b"", OK + EMPTY) as (url, requests):
        session = HttpSession(url)
        with pytest.raises(ValueError, match="header"):
            session.send(Request("GET", f"{url}/v2/", {"X": "a\r\nY: b"}), timeout_s=60)
        session.send(Request("GET", f"{url}/v2/?last=a b\r\nX: y&n=%20é"), timeout_s=60)
    assert requests[-1].startswith(b"GET /v2/?last=a%20b%0D%0AX:%20y&n=%20%C3%A9 HTTP/1.1\r\n")


@pytest.mark.parametrize(("end", "path"), [("", "/"), ("?a=/b", "/?a=/b"), ("/v2/?a=b", "/v2/?a=b")])
def test_a_url_may_lack_its_path(end: str, path: str) -> None:
    with answering(OK + EMPTY) as (url, requests):
        request = Request("GET", f"{url}{end}")
        HttpSession(url).send(request, timeout_s=60)
    assert request.path == path
    assert requests[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("url", ["registry:5000", "ftp://registry", "http://", "http://registry:port", "http://[::1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(RegistryRefused, match=r"registry\.url"):
        RegistryClient(url).ping()
