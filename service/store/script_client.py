"""A client of Redis whose scripts and simplest commands cost half as much: they have connections of their own."""

import os
from collections import defaultdict, deque
from contextlib import suppress
from typing import Any

import hiredis
import redis
from redis.client import NEVER_DECODE

# redis-py changes nothing of the answers to these commands.
_DIRECT = frozenset({"EVALSHA", "GET", "HGET", "ZCARD"})


class ScriptClient(redis.Redis):
    """The client of redis-py, without its pool and its packing where these cost more than the call itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # By process: a forked process would read the answers of its parent.
        # Both ends of a deque may be used by several threads at the same time.
        self._idle: defaultdict[int, deque[Any]] = defaultdict(deque)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Execute one command; a script or one of the simplest over a connection outside of the pool."""
        if args[0] not in _DIRECT:
            through_pool: Any = super().execute_command
            return through_pool(*args, **options)
        idle = self._idle[os.getpid()]
        own, has_bytes = self._connection(idle), NEVER_DECODE in options
        try:
            return own.retry.call_with_retry(lambda: _answer(own, args, has_bytes), lambda _: own.disconnect())
        finally:
            idle.append(own)

    def close_idle(self) -> None:
        """Close the connections outside of the pool that no thread uses. Another thread may take one meanwhile."""
        idle = self._idle[os.getpid()]
        with suppress(IndexError):
            while True:
                idle.pop().disconnect()

    def _connection(self, idle: deque[Any]) -> Any:
        """Return a connection that no other thread uses. Opening one takes as long as ten calls."""
        try:
            return idle.pop()
        except IndexError:
            pool: Any = self.connection_pool
            return pool.connection_class(**pool.connection_kwargs)


def close_idle(client: Any) -> None:
    """Close the connections of a client that no thread uses: after a failover, they still lead to the old server."""
    client.connection_pool.disconnect(inuse_connections=False)
    if isinstance(client, ScriptClient):
        client.close_idle()


def _answer(own: Any, command: tuple[Any, ...], has_bytes: bool) -> Any:
    try:
        own.send_packed_command([hiredis.pack_command(command)])
        return own.read_response(disable_decoding=has_bytes)
    except BaseException:
        # The name or address of a server that refuses may lead to another server by now. And after Ctrl-C, the next
        # call would read the answer to this one.
        own.disconnect()
        raise
