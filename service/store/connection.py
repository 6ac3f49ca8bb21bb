"""The connection to Redis or Valkey: scripts by name, errors translated once."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.client import NEVER_DECODE
from redis.commands.core import Script
from redis.retry import Retry

from service.domain.errors import StoreRefuses, StoreUnavailable
from service.store.guarded_client import GuardedClient
from service.store.keys import Keys
from service.store.redis_url import sentinel_address
from service.store.script import Argument, lua_script
from service.store.script_client import ScriptClient, close_idle

_COMMAND = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
_PLACE = re.compile(r" script: (?=\w+, on )")
_DEMOTED = re.compile(r"\b(READONLY|MASTERDOWN)\b|read only replica")


ANSWER_S = 5.0
PULSE_S = 2.0
# While Redis is silent, calls fail at once for this long; then a ping may find out whether it answers again.
_SILENCE_S = 1.0


def connect(url: str, *, answer_s: float = ANSWER_S) -> redis.Redis:
    """Return a client that decodes answers to text and reconnects itself.

    Args:
        url: redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://.
        answer_s: how long to wait for an answer.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": answer_s,
        "socket_connect_timeout": min(answer_s, 3.0),
        "health_check_interval": 15 if answer_s >= ANSWER_S else 0,
        # A lost connection is retried once, at once. A timeout is not: the caller has waited long enough already.
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 1, supported_errors=(redis.ConnectionError,)),
        "retry_on_error": [redis.ConnectionError],
    }
    watched = sentinel_address(url)
    return watched.client(**options) if watched else ScriptClient.from_url(url, **options)


class Connection:
    """Redis as the store uses it.

    Args:
        client: decodes answers to text.
        hasty: a client of the same server that waits for an answer for PULSE_S only. None: the same client.
        replicas: a script has succeeded only once so many replicas have received its writes.
        schema: called before the first use, with a connection that does not call it. It raises StoreUnavailable while
            this process must not use the store.

    Attributes:
        redis: the commands of Redis. Each raises StoreUnavailable if Redis is away or refuses.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        hasty: redis.Redis | None = None,
        replicas: int = 0,
        schema: Callable[["Connection"], None] | None = None,
    ) -> None:
        self.client = client
        self.keys = keys
        self._replicas = replicas
        self._hasty = hasty or client
        self._schema = schema
        self._is_checked = schema is None
        self._silent_until_s: float | None = None
        self._scripts: dict[str, Script] = {}
        self.redis = GuardedClient(self.reached)

    def run(self, name: str, repository: str = "", /, *, repositories: Sequence[str] = (), **named: Any) -> Any:
        """Run scripts/<name>.lua and return its result.

        Args:
            repository: of the keys that end in :R in the head of the script.
            repositories: of the keys that end in :EACH.
            named: the arguments by their names in the head, see `LuaScript`; and, in capital letters, the parts of key
                names that the caller chooses.

        Raises:
            StoreUnavailable: Redis is away or refuses writes.
            TypeError: the arguments are not those of the head.
        """
        return self.script(name, *self._bound(name, repository, repositories, named))

    def run_undecoded(
        self, name: str, repository: str = "", /, *, repositories: Sequence[str] = (), **named: Any
    ) -> Any:
        """Run a script as `run` does, and return its result with bytes for texts: live:R has digests as bytes."""
        return self._run(name, *self._bound(name, repository, repositories, named), {NEVER_DECODE: True})

    def _bound(
        self, name: str, repository: str, repositories: Sequence[str], named: dict[str, Any]
    ) -> tuple[list[str], list[Argument]]:
        """Return the keys and the arguments of a script in the order of its head."""
        script = lua_script(name)
        members = {word: named.pop(word) for word in script.members}
        if "repository" in script.names:
            named["repository"] = repository
        if "repositories" in script.names:
            named["repositories"] = repositories
        return script.bind_keys(self.keys, repository, repositories, members), script.bind_arguments(named)

    def script(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Return the result of scripts/<name>.lua with these keys and arguments in their order in its head."""
        return self._run(name, keys, args, {})

    def _run(self, name: str, keys: Sequence[str], args: Sequence[Argument], options: Mapping[str, bool]) -> Any:
        """Return the result of a script. options: of redis-py, about its answer."""
        registered = self._scripts.get(name)
        if registered is None:
            registered = self._scripts[name] = self.client.register_script(lua_script(name).text)
        with self.reached():
            return self._call(self.client, registered, list(keys), list(args), options)

    def _call(
        self, client: Any, script: Script, keys: list[str], args: list[Argument], options: Mapping[str, bool]
    ) -> Any:
        """Return the result of a script once its writes are safe from a failover."""
        command = ("EVALSHA", script.sha, len(keys), *keys, *args)

        def call() -> tuple[Any, int]:
            if not self._replicas:
                return client.execute_command(*command, **options), 0
            # WAIT counts the replicas that have the writes of its own connection, which a pipeline uses for both.
            pipe = client.pipeline(transaction=False)
            pipe.execute_command(*command, **options)
            pipe.wait(self._replicas, round(PULSE_S * 1000))
            answer, received = pipe.execute()
            return answer, int(received)

        try:
            result, received = call()
        except redis.exceptions.NoScriptError:
            client.script_load(script.script)
            result, received = call()
        if received < self._replicas:
            raise StoreUnavailable(
                f"{received} of {self._replicas} replicas of Redis (redis.replicas) received a write within "
                f"{PULSE_S:g} s: it may be lost by a failover; start the others again, or lower redis.replicas"
            )
        return result

    def check_schema(self) -> None:
        """Raise StoreUnavailable if this process must not use the store, now and before each later use."""
        if self._schema is None:
            return
        try:
            self._schema(self.unchecked())
        except StoreUnavailable:
            self._is_checked = False
            raise
        self._is_checked = True

    def unchecked(self) -> "Connection":
        """Return the same connection without the check of the schema."""
        return Connection(self.client, self.keys, self._hasty, self._replicas)

    @contextmanager
    def reached(self) -> Iterator[Any]:
        """Yield the client and translate its errors to StoreUnavailable."""
        # Any: redis-py cannot type decoded answers.
        self._break_silence()
        if not self._is_checked:
            self.check_schema()
        with self._translated():
            yield self.client

    def pulse(self) -> int:
        """Write one key under a short deadline, to see whether an event could be recorded now.

        Returns:
            The clock of Redis (ms).

        Raises:
            StoreUnavailable: Redis does not answer within PULSE_S, or refuses writes; or this process must not use the
                store.
        """
        with self._translated():
            script = self._hasty.register_script(lua_script("pulse").text)
            now_ms = int(self._call(self._hasty, script, [self.keys.of("pulse")], [], {}))
        self._silent_until_s = None
        if not self._is_checked:
            self.check_schema()
        return now_ms

    def _break_silence(self) -> None:
        """Raise StoreUnavailable at once while Redis is silent, so that not every thread waits until its timeout."""
        if self._silent_until_s is None:
            return
        if time.monotonic() < self._silent_until_s:
            raise StoreUnavailable(f"Redis does not answer (no answer within {PULSE_S:g} s a moment ago)")
        with self._translated():
            self._hasty.ping()
        self._silent_until_s = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except redis.TimeoutError as error:
            # Only a timeout makes each caller wait; a lost connection fails at once anyway.
            self._silent_until_s = time.monotonic() + _SILENCE_S
            raise StoreUnavailable(f"Redis does not answer ({_brief(error)})") from error
        # An invalid response: the server is no Redis.
        except (redis.ConnectionError, redis.InvalidResponse) as error:
            self._close_idle()
            raise StoreUnavailable(f"Redis does not answer ({_brief(error)})") from error
        except redis.ResponseError as error:
            if _DEMOTED.search(str(error)):
                self._close_idle()
            raise StoreRefuses(f"Redis refuses: {_brief(error)}{_remedy(str(error))}") from error

    def _close_idle(self) -> None:
        # The name or address may lead to another server by now, but an open connection still uses the old one.
        for client in (self.client, self._hasty):
            close_idle(client)

    def run_id(self) -> str:
        """Return the id of this start of the Redis server. After a new start, the last writes may be missing."""
        # As a script, it costs a third: the client would read all that Redis says about the server.
        return str(self.run("run_id"))

    def now_ms(self) -> int:
        """Return the time of the Redis server (ms). All scripts use this clock, not the clock of this machine."""
        return self.now_us() // 1000

    def now_us(self) -> int:
        """Return the time of the Redis server (µs)."""
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000_000 + int(micros)

    def ping(self) -> None:
        """Raise StoreUnavailable if Redis does not answer."""
        self.redis.ping()


def new_token() -> str:
    """Return a unique name for one holder of a lease or a gate."""
    return f"{os.getpid()}-{os.urandom(9).hex()}"


def _brief(error: Exception) -> str:
    """Return the message of a Redis error, without what Redis and its client add: a place in our script, a command."""
    # The sentinels' errors end with the client as Python shows it.
    text = _COMMAND.sub("", str(error)).partition("\n")[0].partition(" : <")[0]
    # Only the first sentence of a failed snapshot, which has four. A refused connection has its reason in the second.
    text = _PLACE.split(text)[0].removeprefix("ACL failure in script: ").partition(". Commands ")[0]
    message = text[:200].rstrip(". ")
    return message or type(error).__name__


def _remedy(message: str) -> str:
    """Return what an operator must do about a full Redis, "" for other errors."""
    if "maxmemory" in message:
        return ": its memory is full: raise its maxmemory; the registry repeats its notifications meanwhile"
    if "MISCONF" in message:
        return ": it cannot write to its disk: free space there; its log says more"
    return ""
