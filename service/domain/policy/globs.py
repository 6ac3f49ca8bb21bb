"""Globs of repositories and tags as RE2 expressions: * and ? stop at /, and ** as a whole part does not."""

import re

import re2

_RANGE = re.compile("(.)-(.)", re.DOTALL)


def expression_of_glob(glob: str, crossing: bool) -> str:
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


def without_classes(glob: str) -> str:
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
    first, last = match[1], match[2]
    return f"{first}-.0-{last}" if first < "/" < last else match[0]
