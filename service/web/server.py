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
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from service.domain.errors import ConfigurationError
from service.settings.kinds import listen_host
from service.web.problems import MAX_BODY_BYTES, TOO_LARGE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HEAD_S = 10.0  # from the first byte to the end of the head; also for a connection that sends nothing
BODY_S = 30.0  # from the first byte to the end of the body
UNREAD_S = 30.0  # an answer of which the client takes no byte for so long

THREADS = 8  # of each pool
CONNECTIONS = 256
CONNECTIONS_PER_ADDRESS = 64

_CHECK_EVERY_S = 0.5
_HEAD_BYTES = 32 * 1024
_IN_MEMORY_BYTES = 128 * 1024  # of one body; the rest of it waits in a file
_NETWORK_V6 = 64  # one customer has a whole network of this size (RFC 4291, 2.5.1)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refusal(ErrorTask):
    """The answer to a request that is no HTTP, or is too large: a problem document, as every other error."""

    def execute(self) -> None:
        error = self.request.error
        detail = TOO_LARGE if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else f"this is no request: {error.body}"
        body = json.dumps({"type": "about:blank", "title": error.reason, "status": error.code, "detail": detail})
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/problem+json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body.encode())


class Channel(HTTPChannel):
    """One connection.

    Attributes:
        waits_since_s: since when the server waits for the client: the begin of the connection, the first byte of a
            request that is not complete, or the end of the last answer.
        owner: the address, or the network, that the connection counts for.
    """

    error_task_class = Refusal
    server: "Server"

    def __init__(self, server: "Server", sock: socket.socket, addr: Any, adj: Adjustments, map: Any = None) -> None:
        self.waits_since_s = self._sent_s = time.monotonic()
        self.owner = _owner(addr[0])
        super().__init__(server, sock, addr, adj, map)
        server.make_room_for(self)

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.waits_since_s = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        super().service()
        self.waits_since_s = time.monotonic()

    def write_soon(self, data: Any) -> int:
        if not self.total_outbufs_len:
            self._sent_s = time.monotonic()
        return int(super().write_soon(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
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


class Server(TcpWSGIServer):
    """Listens, and closes connections that are overdue or too many.

    When there are too many, the connection that has kept the server waiting longest is closed: whoever sends whole
    requests is served while others hold connections open.
    """

    channel_class = Channel

    def __init__(
        self,
        application: "WSGIApplication",
        listener: socket.socket,
        pools: Mapping[str, ThreadedTaskDispatcher],
        *,
        connections: int = CONNECTIONS,
        per_address: int | None = CONNECTIONS_PER_ADDRESS,
        trusted: Iterable[Network] = (),
    ) -> None:
        """Listen on a socket that is bound already.

        Args:
            application: answers the requests.
            listener: the socket.
            pools: by the path of the requests that they answer; "" answers all others.
            connections: the bound on all connections.
            per_address: the bound for one address; None: no bound.
            trusted: networks without a bound of their own, as this machine: proxies connect for many users.
        """
        self._pools = pools
        self._connections, self._per_address, self._trusted = connections, per_address, tuple(trusted)
        self._next_check_s = 0.0
        adjustments = Adjustments(
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # service.web.proxy decides whose headers count
            ident="",
            inbuf_overflow=_IN_MEMORY_BYTES,
            log_socket_errors=False,
            max_request_body_size=MAX_BODY_BYTES + 1,
            max_request_header_size=_HEAD_BYTES,
        )
        address = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            application, {}, True, listener, dispatcher=pools[""], adj=adjustments, sockinfo=address, bind_socket=False
        )

    def add_task(self, task: Channel) -> None:
        path = getattr(task.requests[0], "path", "")  # what is no HTTP has none
        self._pools.get(path, self._pools[""]).add_task(task)

    def readable(self) -> bool:
        """Called in every turn of the loop. It closes what is overdue, by a clock that nobody sets."""
        now_s = time.monotonic()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + _CHECK_EVERY_S
            for channel in tuple(self.active_channels.values()):
                if channel.is_overdue(now_s):
                    channel.will_close = True
                    if channel.total_outbufs_len:  # the loop closes only what can be written to
                        channel.handle_close()
        return bool(self.accepting)

    def fix_addr(self, addr: Any) -> Any:
        """An IPv4 address as such also where the socket takes both kinds."""
        return (addr[0].removeprefix("::ffff:"), *addr[1:]) if "." in addr[0] else addr

    def make_room_for(self, new: Channel) -> None:
        """Close the connection that waits longest where the new one is one too many."""
        others = [channel for channel in self.active_channels.values() if channel is not new and not channel.will_close]
        own = [channel for channel in others if channel.owner == new.owner]
        if self._per_address is not None and len(own) >= self._per_address and not self._trusts(new.addr[0]):
            _close_longest_waiting(own, new)
        elif len(others) >= self._connections:
            _close_longest_waiting(others, new)

    def run(self) -> None:
        """Serve until SystemExit or KeyboardInterrupt; then requests that are being answered get some seconds."""
        with suppress(SystemExit, KeyboardInterrupt):
            self.asyncore.loop(timeout=_CHECK_EVERY_S, map=self._map, use_poll=True)
        self.accepting = False
        self.socket.close()
        for pool in self._pools.values():
            pool.shutdown()

    def _trusts(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return found.is_loopback or any(found in network for network in self._trusted)


def listening(listen: str) -> socket.socket:
    """A socket bound to HOST:PORT. Raises ConfigurationError with one sentence when that is impossible."""
    host, port = listen_host(listen), int(listen.rpartition(":")[2])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {listen}: {error.strerror}; end what listens there, or choose another address"
        ) from error


def pool(threads: int) -> ThreadedTaskDispatcher:
    """A pool of threads that answer requests."""
    made = ThreadedTaskDispatcher()
    made.set_thread_count(threads)
    return made


def stop_on_signals() -> None:
    """SIGTERM ends the server politely, as Ctrl-C does."""
    logging.getLogger("waitress").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _close_longest_waiting(among: Iterable[Channel], new: Channel) -> None:
    waiting = [channel for channel in among if channel.is_waiting]
    min(waiting, key=lambda channel: channel.waits_since_s, default=new).will_close = True


def _owner(address: str) -> str:
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((int(found), _NETWORK_V6), strict=False))
