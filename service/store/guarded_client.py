"""The client of Redis as the store uses it: each error of a command is a StoreUnavailable."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any


class GuardedClient:
    """The commands of redis-py by their names.

    Args:
        reached: opens a block that yields redis-py's client and translates its errors.
    """

    # Any: redis-py cannot type decoded answers.
    def __init__(self, reached: Callable[[], AbstractContextManager[Any]]) -> None:
        self._reached = reached

    def __getattr__(self, command: str) -> Callable[..., Any]:
        return partial(self._each if command.endswith("_iter") else self._call, command)

    @contextmanager
    def pipeline(self, *, transaction: bool = True) -> Iterator[Any]:
        """Yield a pipeline, whose `execute` sends its commands together."""
        with self._reached() as client, client.pipeline(transaction=transaction) as pipe:
            yield pipe

    def _call(self, command: str, *args: Any, **named: Any) -> Any:
        with self._reached() as client:
            return getattr(client, command)(*args, **named)

    def _each(self, command: str, *args: Any, **named: Any) -> Iterator[Any]:
        with self._reached() as client:
            yield from getattr(client, command)(*args, **named)
