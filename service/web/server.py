"""The HTTP server: waitress, with a deadline for every request and a bound on connections.

One thread of waitress reads the requests of all connections, each of them whole, before a thread of a pool answers it.
So a client that sends half a request holds a connection and no thread. waitress itself limits only the pause between
two bytes; the deadlines here limit the whole request.
"""

import ipaddress
import json
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from service.domain.errors import ConfigurationError
from service.settings.kinds import listen_host
from service.web.attempts import owner_of
from service.web.pools import ReceivedTask
from service.web.problems import MAX_BODY_BYTES, MAX_NOTIFICATION_BYTES, TOO_LARGE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# From the first byte to the end of the head; also for a connection that sends nothing.
HEAD_S = 10.0
# From the first byte to the end of the body.
BODY_S = 30.0
# A connection is closed if the client reads no byte of its answer for this time.
UNREAD_S = 30.0

CONNECTIONS = 256
CONNECTIONS_PER_ADDRESS = 64

_CHECK_EVERY_S = 0.5
_HEAD_BYTES = 32 * 1024
# Of one body; a larger body is kept in a file, so that many connections cannot fill the memory.
_IN_MEMORY_BYTES = 128 * 1024

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class MalformedRequestTask(ErrorTask):
    """The answer to a request that is not HTTP or is too large: a problem document, as for every other error."""

    def execute(self) -> None:
        """Answer the error as a problem document."""
        error = self.request.error
        detail = (
            TOO_LARGE
            if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            else f"not a valid HTTP request: {error.body}"
        )
        body = json.dumps({"type": "about:blank", "title": error.reason, "status": error.code, "detail": detail})
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/problem+json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body.encode())


class SizedParser(HTTPRequestParser):
    """The parser of one request. The head decides how large the body may be.

    Args:
        adj: the options of the server.
        large: the options for a request that may have a large body.
        is_large: returns True for the Authorization header of such a request.
    """

    def __init__(self, adj: Adjustments, large: Adjustments, is_large: Callable[[str], bool]) -> None:
        super().__init__(adj)
        self._large, self._is_large = large, is_large

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the head, before the server compares the length of the body with the limit."""
        super().parse_header(header_plus)
        if self._is_large(self.headers.get("AUTHORIZATION", "")):
            self.adj = self._large
            if self.body_rcv is not None:
                self.body_rcv.buf.overflow = self._large.inbuf_overflow


class DeadlineChannel(HTTPChannel):
    """One connection.

    Attributes:
        waits_since_s: since when the server waits for the client: the start of the connection, the first byte of a
            request that is not complete, or the end of the last answer.
        owner: the address, or the network, that the connection counts for.
    """

    task_class = ReceivedTask
    error_task_class = MalformedRequestTask
    server: "DeadlineServer"

    def __init__(
        self, server: "DeadlineServer", sock: socket.socket, addr: Any, adj: Adjustments, map: Any = None
    ) -> None:
        self.waits_since_s = self._sent_s = time.monotonic()
        self.owner = owner_of(addr[0])
        super().__init__(server, sock, addr, adj, map)
        server.make_room_for(self)

    def parser_class(self, adj: Adjustments) -> SizedParser:
        """Return a new parser; waitress expects a class here."""
        return SizedParser(adj, self.server.large, self.server.is_large)

    def received(self, data: bytes) -> bool:
        """Take bytes of a request, and note when the first of them came."""
        if self.request is None:
            self.waits_since_s = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        """Answer the requests that are complete."""
        super().service()
        self.waits_since_s = time.monotonic()

    def write_soon(self, data: Any) -> int:
        """Queue bytes of the response, and note when the first of them was queued."""
        if not self.total_outbufs_len:
            self._sent_s = time.monotonic()
        return int(super().write_soon(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send bytes, and note when the client took them."""
        sent = int(super().send(data, do_close))
        if sent:
            self._sent_s = time.monotonic()
        return sent

    @property
    def is_waiting(self) -> bool:
        """True if the server waits for the client: nothing is being answered or sent."""
        return not (self.requests or self.total_outbufs_len or self.will_close)

    def is_overdue(self, now_s: float) -> bool:
        """True if the client has used up its time."""
        if self.total_outbufs_len:
            return now_s - self._sent_s > UNREAD_S
        request = self.request
        patience_s = BODY_S if request is not None and request.headers_finished else HEAD_S
        return self.is_waiting and now_s - self.waits_since_s > patience_s


class DeadlineServer(TcpWSGIServer):
    """A waitress server that closes connections that are overdue or too many.

    If there are too many, the server closes the connection that has kept it waiting longest. So a client that sends
    whole requests is served although other clients hold connections open.
    """

    channel_class = DeadlineChannel

    def __init__(
        self,
        application: "WSGIApplication",
        listener: socket.socket,
        pools: Mapping[str, ThreadedTaskDispatcher],
        *,
        connections: int = CONNECTIONS,
        per_address: int | None = CONNECTIONS_PER_ADDRESS,
        trusted: Iterable[Network] = (),
        is_large: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Listen on a socket that is bound already.

        Args:
            pools: the pools of threads, by the path that each answers; the pool "" answers all other paths.
            per_address: the bound for one address; None: no bound.
            trusted: networks to which, as to this machine, `per_address` does not apply: proxies connect for many
                users.
            is_large: returns True for the Authorization header of a client whose bodies may be as large as
                notifications. No other client may fill the disk that much.
        """
        self._pools = pools
        self._connections, self._per_address, self._trusted = connections, per_address, tuple(trusted)
        self._next_check_s = 0.0
        adjustments = _options(MAX_BODY_BYTES, _IN_MEMORY_BYTES)
        # In memory: /tmp may be too small, and the registry would send the same notification for ever.
        self.is_large, self.large = is_large, _options(MAX_NOTIFICATION_BYTES, MAX_NOTIFICATION_BYTES)
        address = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            application, {}, True, listener, dispatcher=pools[""], adj=adjustments, sockinfo=address, bind_socket=False
        )

    def add_task(self, task: DeadlineChannel) -> None:
        """Queue the request in the pool of its path."""
        # A request that is not HTTP has no path.
        path = getattr(task.requests[0], "path", "")
        self._pools.get(path, self._pools[""]).add_task(task)

    def readable(self) -> bool:
        """Close connections that are overdue. waitress calls this method in every turn of its loop."""
        # A monotonic clock: a change of the system time must not close connections.
        now_s = time.monotonic()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + _CHECK_EVERY_S
            for channel in tuple(self.active_channels.values()):
                if channel.is_overdue(now_s):
                    channel.will_close = True
                    # The loop would close a connection with unsent data only once the client reads again.
                    if channel.total_outbufs_len:
                        channel.handle_close()
        return bool(self.accepting)

    def fix_addr(self, addr: Any) -> Any:
        """Return an IPv4 address without `::ffff:`, which a socket for IPv4 and IPv6 puts in front of it."""
        return (addr[0].removeprefix("::ffff:"), *addr[1:]) if "." in addr[0] else addr

    def make_room_for(self, new: DeadlineChannel) -> None:
        """Close the connection that has waited longest if the new connection exceeds a limit."""
        others = [channel for channel in self.active_channels.values() if channel is not new and not channel.will_close]
        own = [channel for channel in others if channel.owner == new.owner]
        if self._per_address is not None and len(own) >= self._per_address and not self._trusts(new.addr[0]):
            _close_longest_waiting(own, new)
        elif len(others) >= self._connections:
            _close_longest_waiting(others, new)

    def run(self) -> None:
        """Serve until SystemExit or KeyboardInterrupt; then give requests that are being answered some seconds."""
        with suppress(SystemExit, KeyboardInterrupt):
            self.asyncore.loop(timeout=_CHECK_EVERY_S, map=self._map, use_poll=True)
        self.accepting = False
        self.socket.close()
        for pool in self._pools.values():
            pool.shutdown()

    def _trusts(self, address: str) -> bool:
        client = ipaddress.ip_address(address)
        return client.is_loopback or any(client in network for network in self._trusted)


def _options(most_bytes: int, in_memory_bytes: int) -> Adjustments:
    """Return the options of waitress.

    Args:
        most_bytes: of a body.
        in_memory_bytes: a larger body is kept in a file.
    """
    return Adjustments(
        asyncore_use_poll=True,
        # service.web.proxy decides whose headers count.
        clear_untrusted_proxy_headers=False,
        ident="",
        inbuf_overflow=in_memory_bytes,
        log_socket_errors=False,
        # One byte more than Flask accepts: a body at the limit must not be refused here.
        max_request_body_size=most_bytes + 1,
        max_request_header_size=_HEAD_BYTES,
    )


def listening(listen: str) -> socket.socket:
    """Return a socket bound to HOST:PORT. Raises ConfigurationError with one sentence if that is impossible."""
    host, port = listen_host(listen), int(listen.rpartition(":")[2])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {listen}: {error.strerror}; end what listens there, or choose another address"
        ) from error


def stop_on_signals() -> None:
    """Let SIGTERM end the server as Ctrl-C does: requests that are being answered get some seconds."""
    logging.getLogger("waitress").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _close_longest_waiting(among: Iterable[DeadlineChannel], new: DeadlineChannel) -> None:
    waiting = [channel for channel in among if channel.is_waiting]
    min(waiting, key=lambda channel: channel.waits_since_s, default=new).will_close = True
