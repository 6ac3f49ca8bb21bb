"""Other tools' patterns as ours: regexes, globs, prefixes and plain names."""

import re
from collections.abc import Iterable, Sequence

from service.domain.policy.patterns import PLACEHOLDER, expression_of
from service.importers.translation import Location, NotImportable, shown

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII)
_NAME = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*", re.ASCII)
_MOST_ALTERNATIVES = 64


def searched(regex: str, at: Location = ()) -> str:
    """A regex that matches when it is found anywhere; NotImportable when RE2, which pushprune uses, refuses it."""
    try:
        expression_of(f"re:{regex}")
    except ValueError as error:
        reason = str(error).rpartition(": ")[2]
        hint = "write it without lookarounds and back references"
        raise NotImportable(
            f"{shown(regex)!r} is no expression that RE2 understands ({shown(reason)}); {hint}", at
        ) from error
    return f"re:{regex}"


def searched_in_python(regex: str, at: Location = ()) -> str:
    """The same for a regex of Python's `re`."""
    if "[[:" in regex:
        raise NotImportable(
            f"{shown(regex)!r}: Python reads [[: as letters and RE2 as a class; write the letters out", at
        )
    return searched(regex, at)


def whole(regex: str, at: Location = ()) -> str:
    """A regex that must match the whole name."""
    searched(regex, at)
    return searched(f"^(?:{regex})$", at)


def named(name: str) -> str:
    """Exactly this name."""
    return name if _PLAIN.fullmatch(name) else f"re:^{_literal(name)}$"


def starting(prefix: str) -> str:
    """Every tag that begins so."""
    return f"{prefix}*" if not prefix or _PLAIN.fullmatch(prefix) else f"re:^{_literal(prefix)}"


def repositories_starting(prefix: str) -> str:
    """Every repository that begins so, whatever the number of its parts."""
    return f"re:^{_literal(prefix)}" if prefix else "**"


def wildcards(pattern: str) -> str:
    """A pattern whose only special letter is *, for tags."""
    if all(_PLAIN.fullmatch(f"x{part}") for part in pattern.split("*")):
        return pattern
    return "re:^" + ".*".join(_literal(part) for part in pattern.split("*")) + "$"


def doublestar(pattern: str, at: Location = ()) -> tuple[str, ...]:
    """Go's doublestar: {a,b} becomes a pattern each; an empty one matches everything."""
    alternatives = _alternatives(pattern, at) if pattern else ["**"]
    return tuple(f"\\{one}" if one.startswith(("!", "re:")) else one for one in alternatives if one)


def negated(patterns: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"!{pattern}" for pattern in patterns)


def within(place: str | None, *, itself: bool, below: bool) -> tuple[str, ...]:
    """The repositories of the place that a policy belonged to. None: nobody said; the pattern matches none then."""
    if place == "":
        return ("**",)
    name = PLACEHOLDER if place is None else checked_place(place)
    return (*((name,) if itself else ()), *((f"{name}/**",) if below else ()))


def inside(place: str | None, patterns: Sequence[str]) -> tuple[str, ...]:
    """Patterns that another tool matches below the place, as patterns for whole repository names."""
    if place == "":
        return tuple(patterns)
    name = PLACEHOLDER if place is None else checked_place(place)
    return tuple(_below(name, pattern) for pattern in patterns)


def checked_place(place: str) -> str:
    """The place itself; NotImportable when no repository can be called so."""
    if not _NAME.fullmatch(place):
        raise NotImportable(
            f"--within {shown(place)!r} is no name of a repository or of a part of one, such as shop/api"
        )
    return place


def _literal(text: str) -> str:
    return re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)


def _below(name: str, pattern: str) -> str:
    negative = "!" if pattern.startswith("!") else ""
    pattern = pattern.removeprefix("!")
    if pattern.startswith("re:^"):
        return f"{negative}re:^{_literal(f'{name}/')}{pattern[4:]}"
    return f"{negative}{name}/{pattern}"


def _alternatives(pattern: str, at: Location) -> list[str]:
    """The pattern once for each way through its {a,b}."""
    done, todo = [], [pattern]
    while todo:
        one = todo.pop(0)
        braces = _innermost(one)
        if braces is None:
            done.append(one)
            continue
        start, end = braces
        todo.extend(one[:start] + choice + one[end + 1 :] for choice in one[start + 1 : end].split(","))
        if len(done) + len(todo) > _MOST_ALTERNATIVES:
            raise NotImportable(
                f"{shown(pattern)!r} stands for more than {_MOST_ALTERNATIVES} patterns; write fewer", at
            )
    return list(dict.fromkeys(done))


def _innermost(pattern: str) -> tuple[int, int] | None:
    """The places of an innermost { and its }, neither escaped."""
    start, at = None, 0
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "{":
            start = at
        elif pattern[at] == "}" and start is not None:
            return start, at
        at += 1
    return None
