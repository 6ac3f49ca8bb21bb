"""The answer of a server: its head is read strictly, and where its body ends is never guessed."""

import socket
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.client import RegistryClient
from service.registry.exchange import Answer, BodyLost, ConnectionLost, Request
from service.registry.session import HttpSession
from tests.fakes.certificates import Certificates, make_certificates
from tests.fakes.registry import FakeRegistry

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
COMPRESSED = b"Content-Encoding: aws-chunked\r\n"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@contextmanager
def answering(
    *answers: bytes, hangs_up: bool = True, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one after the other, and the requests that it got; a connection for each."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection = server.accept()[0]
                connection = tls.wrap_socket(connection, server_side=True) if tls else connection
                requests.append(connection.recv(65_536))
                connection.sendall(answer)
                if hangs_up:
                    connection.close()
                else:
                    kept.append(connection)

        kept: list[socket.socket] = []
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.getsockname()[1]}", requests
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
        (OK + CHUNKED + b"\r\n-1\r\n{}", "a chunk of negative length"),
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
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (OK + b"Content-Length: 2,2\r\n\r\n{}", b"{}"),
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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n" + EMPTY,
        OK + b"Connection: Close\r\n" + EMPTY,
        OK + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    ],
)
def test_a_connection_that_the_server_closes_or_might_misuse_is_not_used_again(answer: bytes) -> None:
    with answering(*[answer] * 3, hangs_up=False) as (url, requests):
        session = HttpSession(url, parallel=1)
        statuses = [session.send(Request("DELETE", f"{url}/v2/"), timeout_s=60).status for _ in range(3)]
    assert statuses == [200] * 3
    assert len(requests) == 3


@pytest.mark.parametrize("is_tls", [True, False], ids=["https", "http"])
@pytest.mark.parametrize("length", [2, 8192 - len(OK + b"Content-Length: 8000\r\n\r\n")], ids=["short", "fills buffer"])
def test_bytes_after_an_answer_are_not_read_as_the_next_answer(
    length: int, is_tls: bool, certificates: Certificates
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server)
    # Everything is sent in one record of TLS.
    answer = OK + b"Content-Length: %d\r\n\r\n" % length + b"x" * length
    answers = (answer + b"HTTP/1.1 404 Not Found\r\n" + EMPTY, OK + EMPTY)
    with answering(*answers, hangs_up=False, tls=context if is_tls else None) as (url, requests):
        session = HttpSession(url, ca_file=certificates.authority, parallel=1)
        statuses = [session.send(Request("GET", f"{url}/v2/"), timeout_s=60).status for _ in answers]
    assert statuses == [200, 200]
    assert len(requests) == 2


def test_a_connection_with_a_malformed_answer_is_not_used_again() -> None:
    with answering(OK + CHUNKED + b"\r\nlong\r\n", OK + EMPTY, hangs_up=False) as (url, requests):
        session, request = HttpSession(url, parallel=1), Request("GET", f"{url}/v2/")
        with pytest.raises(BodyLost):
            session.send(request, timeout_s=60)
        assert session.send(request, timeout_s=60).status == 200
    assert len(requests) == 2


@pytest.mark.slow
def test_a_body_of_many_small_chunks_takes_little_memory() -> None:
    chunks = 100_000
    with answering(OK + CHUNKED + b"\r\n" + b"2\r\n{}\r\n" * chunks + b"0\r\n\r\n") as (url, _):
        session = HttpSession(url)
        tracemalloc.start()
        try:
            content = session.send(Request("GET", f"{url}/v2/"), timeout_s=60).content
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert content == b"{}" * chunks
    # The body itself, once more while it is copied, and one piece of it in chunks.
    assert peak < 5_000_000


def test_the_connections_to_the_own_server_are_kept_however_many_others_it_names() -> None:
    with FakeRegistry() as fake:
        session = HttpSession(fake.url)
        session.send(Request("GET", f"{fake.url}/v2/"), timeout_s=60)
        for port in range(1, 20):
            with suppress(OSError):
                session.send(Request("GET", f"http://127.0.0.1:{port}/"), timeout_s=60)
        session.send(Request("GET", f"{fake.url}/v2/"), timeout_s=60)
        assert fake.connections == 1


def test_an_error_says_how_the_connection_ended() -> None:
    with answering(b"") as (url, _), pytest.raises(RegistryUnavailable) as raised:
        RegistryClient(url).delete("shop/api", DIGEST)
    assert str(raised.value) == f"the registry at {url} cannot be reached: the connection ended without an answer"


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
    """A registry with a cache answers 200 for a blob whose data was deleted, and sends nothing."""
    with answering(OK + b"Content-Length: 5000\r\n\r\n" + b"x" * has_blob * 5000) as (url, _):
        assert RegistryClient(url).has_blob("shop/api", DIGEST) is has_blob


@pytest.mark.parametrize("has_blob", [True, False])
def test_a_blob_whose_first_byte_is_compressed_exists(has_blob: bool) -> None:
    head = b"HTTP/1.1 206 Partial Content\r\n" + COMPRESSED + b"Content-Length: 1\r\n\r\n"
    with answering(head + b"x" * has_blob) as (url, _):
        assert RegistryClient(url).has_blob("shop/api", DIGEST) is has_blob


def test_a_compressed_refusal_does_not_prove_a_blob() -> None:
    refused = b"HTTP/1.1 404 Not Found\r\n" + COMPRESSED + b"Content-Length: 1\r\n\r\nx"
    with answering(refused) as (url, _), pytest.raises(RegistryUnavailable, match="compressed"):
        RegistryClient(url).has_blob("shop/api", DIGEST)


@pytest.mark.parametrize(
    ("refusal", "call"),
    [
        (b"503 Away", lambda client: client.has_blob("shop/api", DIGEST)),
        (b"503 Away", lambda client: client.blob("shop/api", DIGEST, 10)),
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
def test_a_text_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(RegistryRefused, match=r"registry\.url"):
        RegistryClient(url).ping()
