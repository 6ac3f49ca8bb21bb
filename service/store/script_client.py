"""A client of Redis whose scripts and simplest commands cost half as much: each thread has a connection for them."""

import threading
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
        self._of_thread = threading.local()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Execute one command; a script or one of the simplest over the connection of this thread."""
        if args[0] not in _DIRECT:
            through_pool: Any = super().execute_command
            return through_pool(*args, **options)
        own: Any = getattr(self._of_thread, "connection", None)
        if own is None:
            pool: Any = self.connection_pool
            # The pool counts the connections that it makes up to a bound, and never hears that a thread has ended.
            own = self._of_thread.connection = pool.connection_class(**pool.connection_kwargs)
        has_bytes = NEVER_DECODE in options
        return own.retry.call_with_retry(lambda: _answer(own, args, has_bytes), lambda _: own.disconnect())


def _answer(own: Any, command: tuple[Any, ...], has_bytes: bool) -> Any:
    try:
        own.send_packed_command([hiredis.pack_command(command)])
        return own.read_response(disable_decoding=has_bytes)
    except BaseException:
        # The name or address of a server that refuses may lead to another server by now. And after Ctrl-C, the next
        # call would read the answer to this one.
        own.disconnect()
        raise
