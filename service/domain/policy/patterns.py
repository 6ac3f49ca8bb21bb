"""Patterns for repositories and tags: globs whose * stops at /, or re:…. RE2 matches all of them in linear time."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from itertools import chain
from math import inf
from typing import Annotated, Any

import re2
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

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
    expression = pattern[3:] if pattern.startswith("re:") else rf"\A(?:{_translated(pattern, crossing)})\z"
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
    for cached in (compile_expression, selector_of, _search):
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
    """Return a function that finds the indexes of the patterns that match a text."""
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
    """Return options for RE2.

    Args:
        most_bytes: memory limit of one program; 0 for RE2's own 8 MB, which (\\pL{100}){3} takes half a second to fill.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = most_bytes or options.max_mem
    return options


def _translated(glob: str, crossing: bool) -> str:
    """Return the glob as an expression. ** as a whole part crosses /; * and ? and […] do so only if `crossing`."""
    if crossing:
        return f"(?s:{_part(glob, '')})"
    parts = re.sub("/+", "/", glob).split("/")
    if parts == ["**"]:
        return r"(?s:.*)"
    made = ""
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        if part == "**":
            made += r"(?s:.+)" if is_last else r"(?s:(?:.+/)?)"
        else:
            made += _part(part, "/") + ("" if is_last else "/")
    return made


def _part(part: str, stop: str) -> str:
    made, at, last = "", 0, part.rfind("]")
    any_letter = f"[^{stop}]" if stop else "."
    while at < len(part):
        letter, at = part[at], at + 1
        if letter == "*":
            made += f"{any_letter}*"
        elif letter == "?":
            made += any_letter
        elif letter == "[" and (end := _class_end(part, at, last)):
            made += _class(part[at:end], stop)
            at = end + 1
        elif letter == "\\" and at < len(part):
            made += re2.escape(part[at])
            at += 1
        else:
            made += re2.escape(letter)
    return f"{any_letter}+" if part and not part.strip("*") else made


def _class_end(part: str, at: int, last: int) -> int:
    """Return the end of the character class that begins at `at`, or 0 if it has no end.

    A ] in the first place of a class is a literal.

    Args:
        last: the index of the last ] in the part.
    """
    start = at + (part[at : at + 1] in ("!", "^"))
    # Without a later ], nothing is searched: otherwise a text of many [ would take quadratic time.
    return part.find("]", start + 1) if last > start else 0


def _without_classes(glob: str) -> str:
    """Return the glob with a ? in place of each character class."""
    made, at, last = "", 0, glob.rfind("]")
    while at < len(glob):
        end = _class_end(glob, at + 1, last) if glob[at] == "[" else 0
        made += "?" if end else glob[at]
        at = (end or at) + 1
    return made


def _class(inside: str, stop: str) -> str:
    negated = inside[0] in "!^"
    members = _RANGE.sub(_without_slash, inside[negated:]) if stop else inside[negated:]
    members = members.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("^", "\\^")
    members = rf"\{members}" if members.startswith("-") else members
    return f"[^{stop}{members}]" if negated else f"[{members}]"


def _without_slash(match: re.Match[str]) -> str:
    """Return a range such as .-9 without the / that lies inside it."""
    first, last = match[1], match[2]
    return f"{first}-.0-{last}" if first < "/" < last else match[0]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _checked(pattern: str) -> str:
    if pattern.removeprefix("!").startswith("re:") and _LOOKAROUND.search(pattern):
        raise ValueError(
            f"{pattern!r} is no regular expression that RE2 understands: RE2 has no lookaheads; "
            "use a second pattern with !"
        )
    expression_of(pattern.removeprefix("!"))
    return pattern


def _can_match_a_tag(pattern: str) -> str:
    """Return the pattern.

    Raises:
        ValueError: a glob has a character that no tag can have (Distribution's reference grammar).
    """
    glob = re.sub(r"(^|/)(\*\*/+)+", r"\1", pattern.removeprefix("!"))
    if not glob.startswith(_LITERALLY) and (stranger := _NOT_IN_TAGS.search(_without_classes(glob))):
        raise ValueError(f"{pattern!r} can match no tag: {_instead(stranger[0], 'the tag alone')}")
    return pattern


def _can_match_a_repository(pattern: str) -> str:
    """Return the pattern.

    Raises:
        ValueError: a glob has a character that no repository name can have (Distribution's reference grammar).
    """
    glob = pattern.removeprefix("!")
    if glob.startswith(_LITERALLY) or glob == PLACEHOLDER or glob.startswith(f"{PLACEHOLDER}/"):
        return pattern
    refused = f"{pattern!r} can match no repository"
    if glob.startswith("/") or glob.endswith("/"):
        raise ValueError(f"{refused}: write it without a slash at either end")
    if stranger := _NOT_IN_REPOSITORIES.search(_without_classes(glob)):
        raise ValueError(f"{refused}: {_instead(stranger[0], 'it without host, tag and capital letters')}")
    return pattern


def _instead(stranger: str, otherwise: str) -> str:
    if stranger in "{},|":
        return f"{stranger} is no wildcard here; write one pattern each"
    return f"write {otherwise}, without {'spaces' if stranger.isspace() else stranger}"


def _some(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError("it is empty; leave it out if everything is meant")
    return patterns


_RANGE = re.compile("(.)-(.)", re.DOTALL)
# The prefixes of patterns that are not checked: an expression, or a glob that an importer has escaped.
_LITERALLY = ("re:", "\\")
_LOOKAROUND = re.compile(r"\(\?<?[=!]")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.*?\[\]!^\\-]")
_NOT_IN_REPOSITORIES = re.compile(r"[^a-z0-9_./*?\[\]!^\\-]")
_ITEM = {"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}
_LIST = {"type": "array", "items": _ITEM, "maxItems": MOST_PATTERNS}
_ANY = WithJsonSchema({"anyOf": [_ITEM, _LIST]})
_SOME = WithJsonSchema({"anyOf": [_ITEM, _LIST | {"minItems": 1}]})
_AS_LIST, _MOST = BeforeValidator(_as_list), Field(max_length=MOST_PATTERNS)

Pattern = Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(_checked)]
_TagPattern = Annotated[Pattern, AfterValidator(_can_match_a_tag)]
_RepositoryPattern = Annotated[Pattern, AfterValidator(_can_match_a_repository)]
Patterns = Annotated[tuple[Pattern, ...], _MOST, _AS_LIST, _ANY]
TagPatterns = Annotated[tuple[_TagPattern, ...], _MOST, _AS_LIST, _ANY]
SomeTagPatterns = Annotated[tuple[_TagPattern, ...], _MOST, _AS_LIST, AfterValidator(_some), _SOME]
SomeRepositoryPatterns = Annotated[tuple[_RepositoryPattern, ...], _MOST, _AS_LIST, AfterValidator(_some), _SOME]
