"""Translate patterns of other tools: regexes, globs, prefixes and plain names."""

import re
from collections.abc import Iterable, Sequence

from service.documents.reader import shown
from service.domain.policy.patterns import PLACEHOLDER, expression_of
from service.importers.translation import NotImportable

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII)
_NAME = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*", re.ASCII)
_MOST_ALTERNATIVES = 64


def searched(regex: str) -> str:
    """Return the pattern for a regex that may match anywhere in a name.

    Raises:
        NotImportable: RE2, which pushprune uses, refuses the regex.
    """
    try:
        expression_of(f"re:{regex}")
    except ValueError as error:
        reason = str(error).rpartition(": ")[2]
        hint = "write it without lookarounds and back references"
        raise NotImportable(
            f"{shown(regex)!r} is no expression that RE2 understands ({shown(reason)}); {hint}"
        ) from error
    return f"re:{regex}"


def searched_in_python(regex: str) -> str:
    """Return the pattern for a regex of Python's `re` that may match anywhere in a name."""
    if "[[:" in regex:
        raise NotImportable(f"{shown(regex)!r}: Python reads [[: as letters and RE2 as a class; write the letters out")
    return searched(regex)


def whole(regex: str) -> str:
    """Return the pattern for a regex that must match the whole name."""
    searched(regex)
    return searched(f"^(?:{regex})$")


def named(name: str) -> str:
    """Return the pattern for exactly this name."""
    return name if _PLAIN.fullmatch(name) else f"re:^{_literal(name)}$"


def starting(prefix: str) -> str:
    """Return the pattern for every tag with this prefix."""
    return f"{prefix}*" if not prefix or _PLAIN.fullmatch(prefix) else f"re:^{_literal(prefix)}"


def repositories_starting(prefix: str) -> str:
    """Return the pattern for every repository with this prefix, with any number of parts."""
    return f"re:^{_literal(prefix)}" if prefix else "**"


def wildcards(pattern: str) -> str:
    """Return the pattern for tags of a text in which * is the only special character."""
    if all(_PLAIN.fullmatch(f"x{part}") for part in pattern.split("*")):
        return pattern
    return "re:^" + ".*".join(_literal(part) for part in pattern.split("*")) + "$"


def doublestar(pattern: str) -> tuple[str, ...]:
    """Return the patterns for one of Go's doublestar: {a,b} becomes two patterns. "" matches every name."""
    alternatives = _alternatives(pattern) if pattern else ["**"]
    # A leading ! or re: is literal in doublestar.
    return tuple(f"\\{glob}" if glob.startswith(("!", "re:")) else glob for glob in alternatives if glob)


def negated(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that exclude what these patterns include."""
    return tuple(f"!{pattern}" for pattern in patterns)


def within(place: str | None, *, itself: bool, below: bool) -> tuple[str, ...]:
    """Return the patterns for the repositories of the place that a policy belongs to.

    Args:
        place: a repository or a project; "" for all repositories; None if it is not known: then nothing matches.
        itself: True to include the repository of that name.
        below: True to include all repositories below it.
    """
    if place == "":
        return ("**",)
    name = PLACEHOLDER if place is None else checked_place(place)
    return (*((name,) if itself else ()), *((f"{name}/**",) if below else ()))


def inside(place: str | None, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return patterns for whole repository names, from patterns that the tool applies to the names below the place."""
    if place == "":
        return tuple(patterns)
    name = PLACEHOLDER if place is None else checked_place(place)
    return tuple(_below(name, pattern) for pattern in patterns)


def checked_place(place: str) -> str:
    """Return the place.

    Raises:
        NotImportable: no repository can have that name.
    """
    if not _NAME.fullmatch(place):
        raise NotImportable(
            f"--within {shown(place)!r} is no name of a repository or a project, such as shop/api or shop"
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


def _alternatives(pattern: str) -> list[str]:
    """Return the pattern once for each combination of its {a,b}."""
    done, todo = [], [pattern]
    while todo:
        glob = todo.pop(0)
        braces = _innermost(glob)
        if braces is None:
            done.append(glob)
            continue
        start, end = braces
        todo.extend(glob[:start] + choice + glob[end + 1 :] for choice in glob[start + 1 : end].split(","))
        if len(done) + len(todo) > _MOST_ALTERNATIVES:
            raise NotImportable(f"{shown(pattern)!r} expands to more than {_MOST_ALTERNATIVES} patterns; write fewer")
    return list(dict.fromkeys(done))


def _innermost(pattern: str) -> tuple[int, int] | None:
    """Return the indexes of an innermost { and its }, neither escaped; None if there are none."""
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
