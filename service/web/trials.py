"""Limits for previews of a policy from a request: in size, in number and in time. No memory is kept afterwards.

The right `read` is enough for a preview. Notifications have threads of their own, but share processor and memory.
"""

import gc
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any, TypeVar

from flask import Flask, current_app

from service.domain.errors import PushpruneError
from service.domain.policy.patterns import TookTooLong, forget_compiled, matching_within

AT_ONCE = 2
PATIENCE_S = 10.0
RETRY_S = 5
MOST_BYTES = 100_000
MOST_PATTERNS = 2000

_INSTEAD = "use `pushprune prune --dry-run --policy FILE`"
_TOOK_TOO_LONG = f"the preview takes more than {PATIENCE_S:g} s: name fewer repositories, or {_INSTEAD}"
_EXTENSION = "pushprune trials"
T = TypeVar("T")


class Busy(PushpruneError):
    """The highest number of previews is being computed, or a preview took too long."""


class TooLarge(PushpruneError):
    """A policy that is too large for a preview."""


def register(app: Flask) -> None:
    """Set up one limit for the API and the dashboard together."""
    app.extensions[_EXTENSION] = BoundedSemaphore(AT_ONCE)


@contextmanager
def turn() -> Iterator[None]:
    """Reserve one of the places to compute a preview, for PATIENCE_S.

    Raises:
        Busy: no place is free, or the time is over.
    """
    turns: BoundedSemaphore = current_app.extensions[_EXTENSION]
    if not turns.acquire(blocking=False):
        raise Busy(f"{AT_ONCE} previews are being computed: try again in some seconds")
    try:
        with matching_within(PATIENCE_S):
            yield
    except TookTooLong as error:
        raise Busy(_TOOK_TOO_LONG) from error
    finally:
        forget_compiled()
        # Selectors refer to themselves, so only the garbage collector of Python can free their memory.
        gc.collect()
        turns.release()


def in_time(names: Iterable[T]) -> Iterator[T]:
    """Yield the same names, for at most PATIENCE_S. Raises Busy when the time is over."""
    end_s = time.monotonic() + PATIENCE_S
    for name in names:
        if time.monotonic() > end_s:
            raise Busy(_TOOK_TOO_LONG)
        yield name


def check_size(written_bytes: int) -> None:
    """Raise TooLarge if a policy is too long for a preview."""
    if written_bytes > MOST_BYTES:
        raise TooLarge(f"a policy of more than {MOST_BYTES // 1000} kB is not previewed here: {_INSTEAD}")


def check_patterns(policy: Mapping[str, Any]) -> None:
    """Raise TooLarge if a policy has too many patterns for a preview. policy: as sent, before any validation."""
    rules = policy.get("rules")
    of_rules = [rule for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, list | tuple) else []
    values = [policy.get("protect"), policy.get("ignore_pulls")]
    values += [rule.get(key) for rule in of_rules for key in ("repos", "tags", "group")]
    count = sum(len(value) if isinstance(value, list | tuple) else value is not None for value in values)
    if count > MOST_PATTERNS:
        raise TooLarge(f"a policy of more than {MOST_PATTERNS} patterns is not previewed here: {_INSTEAD}")
