"""The HTTP server: half-sent requests, unread answers and too many connections do not stop the others."""

import errno
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from waitress.buffers import TempfileBasedBuffer

from service.domain.errors import ConfigurationError
from service.web import attempts, server
from service.web.pools import GatheringPool, thread_pool
from service.web.problems import MAX_BODY_BYTES, MAX_NOTIFICATION_BYTES, TOO_LARGE
from tests.fakes.valkey import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.slow

HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-a: "
BODY = b"POST /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
POST = b"POST /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PIECE = b"x" * 256 * 1024
LARGE_BYTES = 32 * 1024 * 1024  # more than the kernel holds for a connection


class Application:
    """An application that answers with the length of the body; /slow only once `go_on` is set; /large with a lot."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.may_receive = threading.Event()
        self.may_receive.set()
        self.slow = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.slow += 1
            self.go_on.wait(240)
        if environ["PATH_INFO"] == "/large":
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(LARGE_BYTES))])
            return (PIECE for _ in range(LARGE_BYTES // len(PIECE)))
        answer = str(len(environ["wsgi.input"].read())).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
        return [answer]


class Served:
    """An application that is served in a thread of this process."""

    def __init__(self, application: Application, **options: Any) -> None:
        self.application = application
        self.port = free_port()
        self.gathered: list[int] = []
        pools = {"": thread_pool(2), "/notifications": GatheringPool(self._receive)}
        self._server = server.DeadlineServer(application, server.listening(f"127.0.0.1:{self.port}"), pools, **options)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _receive(self, environs: Sequence[dict[str, Any]]) -> None:
        self.gathered.append(len(environs))
        self.application.may_receive.wait(240)

    def _run(self) -> None:
        while not self._over.is_set():
            self._server.asyncore.loop(timeout=0.02, map=self._server._map, use_poll=True, count=1)

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.application.go_on.set()
        self._over.set()
        self._thread.join(240)
        for channel in tuple(self._server.active_channels.values()):
            channel.handle_close()
        self._server.socket.close()
        for pool in self._server._pools.values():
            pool.shutdown()

    def connect(self, sends: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=240)
        connection.sendall(sends)
        return connection

    def status(self, method: str = "GET", path: str = "/", body: bytes | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        connection.request(method, path, body)
        status = connection.getresponse().status
        connection.close()
        return status

    @property
    def queued(self) -> int:
        return len(self._server._pools["/notifications"]._gathered)

    @property
    def connections(self) -> int:
        return len(self._server.active_channels)


Serve = Callable[..., Served]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """serve(HEAD_S=0.1, …, connections=…): a server with these deadlines and bounds; the others are far away."""
    with ExitStack() as stack:

        def start(**options: Any) -> Served:
            for name in ("HEAD_S", "BODY_S", "UNREAD_S"):
                monkeypatch.setattr(server, name, options.pop(name, 3600.0))
            monkeypatch.setattr(server, "_CHECK_EVERY_S", 0.02)
            return stack.enter_context(Served(Application(), **options))

        yield start


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """The status and the body of the next answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def refusal(connection: socket.socket) -> tuple[int, bytes]:
    """The answer to a head alone. A server that waits for the body instead must fail the test, not hold it up."""
    connection.settimeout(30)
    return answer(connection)


def is_closed(connection: socket.socket) -> bool:
    """True if the server has closed the connection without an answer."""
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("half", [b"", HEAD, BODY], ids=["nothing", "half a head", "half a body"])
def test_half_sent_requests_take_no_thread(serve: Serve, half: bytes) -> None:
    served = serve()
    held = [served.connect(half) for _ in range(45)]
    until(lambda: served.connections == 45)
    assert served.status() == 200
    assert served.status("POST", "/notifications", b"{}") == 200
    for connection in held:
        connection.close()


@pytest.mark.parametrize("half", [b"", HEAD], ids=["nothing", "half a head"])
def test_a_head_that_does_not_end_is_given_up(serve: Serve, half: bytes) -> None:
    connection = serve(HEAD_S=0.1).connect(half)
    until(lambda: is_closed(connection))


def test_a_body_that_does_not_end_is_given_up(serve: Serve) -> None:
    connection = serve(BODY_S=0.1).connect(BODY)
    until(lambda: is_closed(connection))


@pytest.mark.parametrize(("half", "deadline"), [(HEAD, "HEAD_S"), (BODY, "BODY_S")])
def test_the_deadline_is_for_all_of_it_and_not_for_a_pause(serve: Serve, half: bytes, deadline: str) -> None:
    connection = serve(**{deadline: 0.3}).connect(half)

    def trickle() -> bool:
        with suppress(OSError):
            connection.sendall(b"a")
        return is_closed(connection)

    until(trickle)


def test_an_idle_connection_is_given_up_after_its_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = serve().connect(WHOLE)
    assert answer(connection)[0] == 200
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    until(lambda: is_closed(connection))


def test_a_connection_is_kept_for_the_next_request(serve: Serve) -> None:
    connection = serve().connect()
    for _ in range(3):
        connection.sendall(WHOLE)
        assert answer(connection)[0] == 200


def test_a_request_that_is_being_answered_has_no_deadline(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    connection = served.connect(WHOLE.replace(b"/ ", b"/slow ", 1))
    until(lambda: served.application.slow == 1)
    with monkeypatch.context() as patch:
        for name in ("HEAD_S", "BODY_S", "UNREAD_S"):
            patch.setattr(server, name, 0.1)
        idle = served.connect()
        until(lambda: is_closed(idle))
    served.application.go_on.set()
    assert answer(connection)[0] == 200


def test_a_client_that_does_not_read_its_answer_frees_its_thread(serve: Serve) -> None:
    served = serve(UNREAD_S=1.0)
    served._server.adj.outbuf_high_watermark = 4 * len(PIECE)  # a thread waits once so much is unread
    large = WHOLE.replace(b"/ ", b"/large ", 1)
    unread = [served.connect(large) for _ in range(3)]
    until(lambda: served.connections == 0)
    assert served.status() == 200
    for connection in unread:
        connection.close()


def test_slow_pages_leave_threads_for_notifications(serve: Serve) -> None:
    served = serve()
    slow = [served.connect(WHOLE.replace(b"/ ", b"/slow ", 1)) for _ in range(10)]
    until(lambda: served.application.slow == 2)
    assert served.status("POST", "/notifications", b"{}") == 200
    served.application.go_on.set()
    for connection in slow:
        assert answer(connection)[0] == 200


def test_notifications_that_arrive_while_others_are_received_are_received_together(serve: Serve) -> None:
    served = serve()
    served.application.may_receive.clear()
    waiting = [served.connect(POST)]
    until(lambda: served.gathered == [1])
    waiting += [served.connect(POST) for _ in range(5)]
    until(lambda: served.queued == 5)
    served.application.may_receive.set()
    assert [answer(connection) for connection in waiting] == [(200, b"2")] * 6
    assert served.gathered == [1, 5]


def test_notifications_that_cannot_be_received_together_are_answered_one_by_one(serve: Serve) -> None:
    served = serve()
    served.application.may_receive = None  # type: ignore[assignment]
    assert served.status("POST", "/notifications", b"{}") == 200


def test_too_many_connections_close_the_one_that_waits_longest(serve: Serve) -> None:
    served = serve(connections=3)
    first = served.connect(HEAD)
    until(lambda: served.connections == 1)
    others = [served.connect(HEAD) for _ in range(2)]
    until(lambda: served.connections == 3)
    assert served.status() == 200
    assert is_closed(first)
    assert not any(map(is_closed, others))


def test_too_many_connections_of_which_none_waits_close_the_new_one(serve: Serve) -> None:
    served = serve(connections=2)
    slow = [served.connect(WHOLE.replace(b"/ ", b"/slow ", 1)) for _ in range(2)]
    until(lambda: served.application.slow == 2)
    another = served.connect()
    until(lambda: is_closed(another))
    served.application.go_on.set()
    assert all(answer(connection)[0] == 200 for connection in slow)


def test_a_single_address_cannot_take_all_connections(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.DeadlineServer, "_trusts", lambda *_: False)
    served = serve(connections=100, per_address=2)
    first = served.connect(HEAD)
    until(lambda: served.connections == 1)
    second = served.connect(HEAD)
    until(lambda: served.connections == 2)
    assert served.status() == 200
    assert is_closed(first)
    assert not is_closed(second)


def test_clients_of_this_machine_and_proxies_have_no_limit_of_their_own(serve: Serve) -> None:
    served = serve(connections=100, per_address=2)
    held = [served.connect(HEAD) for _ in range(10)]
    until(lambda: served.connections == 10)
    assert not any(map(is_closed, held))


def test_neighbours_in_one_network_of_ipv6_count_together() -> None:
    assert (
        attempts.owner_of("2001:db8::1")
        == attempts.owner_of("2001:db8::ffff:2")
        != attempts.owner_of("2001:db8:0:1::1")
    )
    assert attempts.owner_of("10.0.0.1") != attempts.owner_of("10.0.0.2")


def test_a_body_that_is_too_large_is_refused_in_one_sentence(serve: Serve) -> None:
    served = serve()
    assert served.status("POST", "/", b"x" * MAX_BODY_BYTES) == 200
    connection = served.connect(f"POST / HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
    status, body = refusal(connection)
    assert (status, json.loads(body)["detail"]) == (413, TOO_LARGE)


def test_only_a_client_that_may_post_notifications_sends_a_larger_body(serve: Serve) -> None:
    served = serve(is_large=lambda authorization: authorization == "Bearer right")
    head = f"POST / HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n"
    refused, accepted = (
        served.connect(f"{head}Authorization: Bearer {token}\r\n\r\n".encode()) for token in ("wrong", "right")
    )
    assert refusal(refused)[0] == 413
    accepted.sendall(b"x" * (MAX_BODY_BYTES + 1))
    assert answer(accepted) == (200, str(MAX_BODY_BYTES + 1).encode())


def test_a_large_notification_needs_no_room_on_the_disk(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TempfileBasedBuffer, "newfile", full)
    assert serve(is_large=lambda _: True).status("POST", "/", b"x" * MAX_BODY_BYTES) == 200


def test_a_body_larger_than_any_notification_is_refused(serve: Serve) -> None:
    served = serve(is_large=lambda _: True)
    connection = served.connect(f"POST / HTTP/1.1\r\nContent-Length: {MAX_NOTIFICATION_BYTES + 1}\r\n\r\n".encode())
    assert refusal(connection)[0] == 413


@pytest.mark.parametrize("nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"])
def test_bytes_that_are_no_http_are_refused_in_one_sentence(serve: Serve, nonsense: bytes) -> None:
    status, body = answer(serve().connect(nonsense))
    assert status == 400
    assert json.loads(body)["detail"].startswith("not a valid HTTP request: ")


def test_an_address_that_is_taken_is_refused_in_one_sentence(serve: Serve) -> None:
    served = serve()
    with pytest.raises(ConfigurationError, match=f"^cannot listen on 127.0.0.1:{served.port}: "):
        server.listening(f"127.0.0.1:{served.port}")


def test_a_clock_that_is_set_back_gives_no_client_more_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = serve(HEAD_S=0.3).connect(HEAD)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    until(lambda: is_closed(connection))
