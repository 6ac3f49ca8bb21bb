"""A worker that can be killed between any two steps; a step is one request to the registry or one call to Redis."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis

T = TypeVar("T")


class Killed(BaseException):
    """The end of a process by kill -9: no `except Exception` stops it, and the work of `finally` is not done."""


class Life:
    """The lives of a worker, one after another. Once killed, every step raises until the next life begins."""

    def __init__(self) -> None:
        self._elsewhere = False
        self.begin()

    def begin(self, ends_at: int | None = None, done: bool = False) -> None:
        """Begin a life. ends_at: the step (from 0) that kills it, None: no step; done: after that step, not before."""
        self._ends_at, self._after, self._steps = ends_at, done, 0
        self.over = False

    @contextmanager
    def somebody_else(self) -> Iterator[None]:
        """Count no steps during a block, in which another process works."""
        before, self._elsewhere = self._elsewhere, True
        try:
            yield
        finally:
            self._elsewhere = before

    def step(self, do: Callable[[], T]) -> T:
        """Take one step, or die."""
        if self._elsewhere or threading.current_thread().name.startswith("lease "):
            return do()  # renewals come by the clock, and would make the count of steps a matter of chance
        number = self._steps
        self._steps += 1
        if self.over or (number == self._ends_at and not self._after):
            self._die()
        result = do()
        if number == self._ends_at or self.over:
            self._die()
        return result

    def _die(self) -> None:
        self.over = True
        raise Killed


class MortalRedis(redis.Redis):
    """A client of Redis whose calls are steps of a life."""

    life: Life

    def execute_command(self, *args: Any, **options: Any) -> Any:
        execute: Any = super().execute_command
        return self.life.step(lambda: execute(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Return a pipeline, which is one step: the server executes all of it or nothing."""
        pipe: Any = super().pipeline(transaction, shard_hint)
        execute = pipe.execute
        pipe.execute = lambda *args, **options: self.life.step(lambda: execute(*args, **options))
        return pipe


def mortal(url: str, life: Life) -> MortalRedis:
    """A client of Redis as the product makes it, bound to a life."""
    client = MortalRedis.from_url(url, decode_responses=True, single_connection_client=True)
    assert isinstance(client, MortalRedis)
    client.life = life
    return client
