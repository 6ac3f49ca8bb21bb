"""Patterns for repositories and tags: globs whose * stops at /, or re:…. RE2 matches all of them in linear time."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from itertools import chain
from math import inf
from typing import Any

import re2

from service.domain.policy.globs import expression_of_glob

# The repository in an imported policy. No repository name has capital letters, so the policy deletes nothing until the
# user has written the real name.
PLACEHOLDER = "WHERE-IT-BELONGED"

# More than users need, and still less than a second's work: every user who may read can send a policy to try it.
LONGEST_PATTERN = 512
MOST_PATTERNS = 1000
_LARGEST_BYTES = 256 * 1024

# The end of matching when a user tries a policy. A few megabytes of names and patterns would take minutes.
_ends_s: ContextVar[float] = ContextVar("when matching must end", default=inf)

Matcher = Callable[[str], bool]
_Search = Callable[[str], tuple[int, ...]]


def expression_of(pattern: str, *, crossing: bool = False) -> str:
    """Return the RE2 search expression for one pattern without its `!`.

    Args:
        crossing: True if * does not stop at /.

    Raises:
        ValueError: the pattern is not valid; the message is one sentence.
    """
    if not pattern:
        raise ValueError("an empty pattern matches nothing; write * for everything")
    expression = pattern[3:] if pattern.startswith("re:") else rf"\A(?:{expression_of_glob(pattern, crossing)})\z"
    compile_expression(expression, pattern)
    return expression


@lru_cache(maxsize=256)
def compile_expression(expression: str, written: str) -> Any:
    """Compile an expression with RE2.

    Args:
        written: the expression as the user wrote it, for the error message.

    Raises:
        ValueError: RE2 refuses the expression; the message is one sentence.
    """
    try:
        return re2.compile(expression, _options(_LARGEST_BYTES))
    except re2.error as error:
        reason = (
            error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        raise ValueError(f"{written!r} is no regular expression that RE2 understands: {reason}") from error


# A full cache takes about 10 MB. It fills only in a process that plans groups of so many tags.
@lru_cache(maxsize=32_768)
def captures(expression: str, tag: str) -> tuple[str | None, ...]:
    """Return what each pair of parentheses captures of a tag, None for what does not take part; () without a match.

    Every plan needs this of every tag, and matching takes RE2 longer than all else that a plan does with a tag.
    """
    # For a str, RE2's Python package computes the position of every letter, which takes twice as long.
    match = compile_expression(expression, expression).search(tag.encode())
    captured = match.groups() if match else ()
    return tuple(None if part is None else part.decode(errors="replace") for part in captured)


@lru_cache(maxsize=64)
def selector_of(lists: tuple[tuple[str, ...], ...], *, crossing: bool = False) -> "Selector":
    """Return the selector for these lists; it is cached."""
    return Selector(lists, crossing=crossing)


class TookTooLong(Exception):
    """Matching took longer than `matching_within` allows."""


@contextmanager
def matching_within(seconds: float) -> Iterator[None]:
    """Let selectors raise TookTooLong in this block once this time has passed."""
    token = _ends_s.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_s.reset(token)


def forget_compiled() -> None:
    """Free the memory of all compiled patterns. Patterns that are still needed are compiled again."""
    for cached in (compile_expression, selector_of, _search, captures):
        cached.cache_clear()


def compile_patterns(patterns: tuple[str, ...], *, crossing: bool = False) -> Matcher:
    """Return a matcher for texts that a positive pattern matches and no `!` pattern does.

    Without a positive pattern, every text that no `!` pattern matches is a match.

    Args:
        crossing: True if the texts are no paths, so that * does not stop at /.
    """
    selector = selector_of((patterns,), crossing=crossing)
    return lambda text: bool(selector.select(text))


class Selector:
    """Find the lists of patterns that select a text, in one pass for any number of lists.

    A list selects a text if one of its positive patterns matches (or it has none) and none of its `!` patterns does.
    """

    def __init__(self, lists: Iterable[tuple[str, ...]], *, crossing: bool = False) -> None:
        self._lists = tuple(lists)
        written = tuple(dict.fromkeys(pattern.removeprefix("!") for pattern in chain.from_iterable(self._lists)))
        self._search = _search(written, crossing)
        number = {pattern: at for at, pattern in enumerate(written)}
        self._unconditional = frozenset(
            at for at, patterns in enumerate(self._lists) if all(pattern.startswith("!") for pattern in patterns)
        )
        # Most texts are matched by the same set of patterns.
        self._selecting = lru_cache(maxsize=4096)(self._selected_by)
        self._positive: dict[int, list[int]] = {}
        self._negative: dict[int, list[int]] = {}
        for at, patterns in enumerate(self._lists):
            for pattern in patterns:
                side = self._negative if pattern.startswith("!") else self._positive
                side.setdefault(number[pattern.removeprefix("!")], []).append(at)

    def select(self, text: str) -> frozenset[int]:
        """Return the numbers of the lists that select the text.

        Raises:
            TookTooLong: the time of `matching_within` is over.
        """
        if time.monotonic() > _ends_s.get():
            raise TookTooLong
        return self._selecting(tuple(self._search(text)))

    def _selected_by(self, matched: tuple[int, ...]) -> frozenset[int]:
        selected = set(self._unconditional)
        for at in matched:
            selected.update(self._positive.get(at, ()))
        for at in matched:
            selected.difference_update(self._negative.get(at, ()))
        return frozenset(selected)


@lru_cache(maxsize=64)
def _search(written: tuple[str, ...], crossing: bool) -> _Search:
    expressions = [expression_of(pattern, crossing=crossing) for pattern in written]
    together = re2.Set.SearchSet(_options())
    for expression in expressions:
        together.Add(expression)
    # RE2 reports no match at all when it runs out of memory while matching. A pattern that always matches distinguishes
    # that answer from a true one; then each pattern is matched alone.
    witness = together.Add("")
    one_by_one = _one_by_one(expressions)
    try:
        together.Compile()
    except re2.error:
        # RE2 refuses a set that would take too much memory.
        return one_by_one

    def search(text: str) -> tuple[int, ...]:
        matched = together.Match(text)
        return tuple(at for at in matched if at != witness) if witness in matched else one_by_one(text)

    return search


def _one_by_one(expressions: list[str]) -> _Search:
    # Each compiled expression takes up to 256 KiB and is rarely needed, so none is compiled before the first use.
    compiled = cache(lambda: [compile_expression(expression, expression) for expression in expressions])
    return lambda text: tuple(at for at, expression in enumerate(compiled()) if expression.search(text) is not None)


def _options(most_bytes: int = 0) -> Any:
    r"""Return options for RE2.

    Args:
        most_bytes: memory limit of one program; 0 for RE2's own 8 MB, which (\pL{100}){3} takes half a second to fill.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = most_bytes or options.max_mem
    return options
