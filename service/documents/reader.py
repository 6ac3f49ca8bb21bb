"""Read a YAML or JSON text with the line of every key, or refuse it with one sentence. JSON is read as YAML."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.domain.errors import ConfigurationError

Location = tuple[str | int, ...]

LIMIT_BYTES = 1024 * 1024
LONGEST_SHOWN = 40
_LIMIT_DEPTH = 40
_JSON_STARTS = ("{", "[")
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp")}
_AS_WRITTEN = {_TAG + name for name in ("merge", "value")}
_NUMBERS = {_TAG + "int", _TAG + "float"}
# YAML reads 010 as 8, 10:00 as 600 and 1_0 as 10, which no user means.
_ODD_NUMBER = re.compile(r"[_:xX]|^[-+]?0[0-9b]")
_UNQUOTED = re.compile(r"(?:^|[\s\[,:-])[*!&][^\s'\"]*|[\[,-]\s*\{[^:}]*\}")
_QUOTED = re.compile(r"(['\"])[\w!.-]{2,}\1")


class Source:
    """Values, and their names in error messages. Values without a file, such as those of a request, have only keys."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values: Any = values

    def subject(self, location: Location) -> str:
        """Return the name of the value at this location."""
        return dotted(location)

    def spell(self, name: str) -> str:
        """Return the key of this dotted name as it is written in this source."""
        return name


@dataclass(frozen=True)
class Document(Source):
    """The values of a text, and the line of each key and list item. The first line is 1.

    Attributes:
        name: of the file or text, for error messages.
    """

    name: str
    values: Any
    lines: Mapping[Location, int]

    def line(self, location: Location) -> int:
        """Return the line of the key, or of the nearest key around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def subject(self, location: Location) -> str:
        """Return the name of the value at this location, for error messages."""
        place = f"{self.name}, line {self.line(location)}"
        return f"{place}: {dotted(location)}{self._named(location)}" if location else place

    def _named(self, location: Location) -> str:
        """Return the name of the rule that the location is in, as users know rules by their names; "" for none."""
        if "rules" not in location[:-2] or location[-1] == "name":
            return ""
        values: Any = self.values
        for part in location[: location.index("rules") + 2]:
            values = values[part]
        name = values.get("name") if isinstance(values, Mapping) else None
        return f" (rule {shown(name)!r})" if isinstance(name, str) else ""


def dotted(location: Location) -> str:
    """Return a location as users write it: policy.rules[0].keep."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in location)
    return "".join(parts).removeprefix(".")


def shown(text: object) -> str:
    """Return a part of the input for an error message, shortened if it is long."""
    whole = str(text)
    return whole if len(whole) <= LONGEST_SHOWN else whole[: LONGEST_SHOWN - 1] + "…"


def read_text(file: Path, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the text of a regular file, without a byte order mark.

    Raises:
        ConfigurationError: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigurationError(
                f"cannot read {file}: it is a folder; Docker creates one if a file that it mounts does not exist"
            )
        if not stat.S_ISREG(mode):
            raise ConfigurationError(f"cannot read {file}: it is not a file")
        with file.open("rb") as stream:
            content = stream.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        # In a container the user is rarely the one who wrote the file.
        denied = f" for user {os.geteuid()}, as whom pushprune runs: let this user read the file and its folder"
        fix = denied if isinstance(error, PermissionError) else ""
        raise ConfigurationError(f"cannot read {file}: {reason}{fix}") from error
    return decoded(content, str(file), limit_bytes)


def decoded(content: bytes, name: str, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the text of these bytes, without a byte order mark. name: of the text in error messages.

    Raises:
        ConfigurationError: the text is too large, or is not UTF-8.
    """
    if len(content) > limit_bytes:
        raise ConfigurationError(f"cannot read {name}: it is larger than {limit_bytes // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}, line {line}: this is not UTF-8 text") from error


def read_mapping(file: Path) -> Document:
    """Read a YAML file of `key: value` pairs. An empty file has no values.

    Raises:
        ConfigurationError: the file is not such YAML; the message names file and line.
    """
    return parse_mapping(read_text(file), str(file))


def parse_mapping(text: str, name: str) -> Document:
    """Parse YAML text like `read_mapping`. name: of the text in error messages."""
    document = parse(text, name)
    if document.values is None:
        return Document(name, {}, {})
    if not isinstance(document.values, dict):
        raise ConfigurationError(f"{name}, line 1: this must hold `key: value` pairs")
    return document


def parse(text: str, name: str) -> Document:
    """Parse YAML or JSON text. The values of an empty text are None.

    Raises:
        ConfigurationError: the text is neither; the message names line and `name`.
    """
    lines: dict[Location, int] = {}
    # YAML refuses the tabs with which JSON may be indented. A string of JSON contains no tab.
    kind, source = ("JSON", text.replace("\t", " ")) if text.lstrip()[:1] in _JSON_STARTS else ("YAML", text)
    try:
        loader = _Loader(source)
        node = loader.get_single_node()
        values = None if node is None else _build(loader, node, (), lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(f"{name}, line {line}: this character has no place in {kind}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(f"{name}, line {line}: {_reason(error, kind)}{_quoting(text, line)}") from None
    return Document(name, values, lines)


class _Unwanted(yaml.MarkedYAMLError):
    """Valid YAML with a feature that a configuration does not need. `problem` says which."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


def _reason(error: yaml.MarkedYAMLError, kind: str) -> str:
    if isinstance(error, _Unwanted):
        return str(error.problem)
    if "<stream end>" in (error.problem or "") or "end of stream" in (error.problem or ""):
        return f"this is not {kind}: it ends inside a bracket or a quotation mark that is not closed"
    # PyYAML's message may quote a secret whose quotation marks are missing.
    message = _QUOTED.sub("…", ", ".join(filter(None, (error.context, error.problem))))
    return f"this is not {kind}: {' '.join(message.split())}"


def _quoting(text: str, line: int) -> str:
    """Return the advice to quote patterns if a line near this line has a pattern without quotes, else ""."""
    near = text.splitlines()[max(line - 2, 0) : line + 1]
    return "; put patterns in quotes: '!pr-*'" if any(_UNQUOTED.search(nearby) for nearby in near) else ""


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses aliases and deep nesting, so that no file can exhaust memory or the stack."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            reason = "anchors (&) and aliases (*) are not supported here; repeat the value, or put it in quotes"
            raise _Unwanted(reason, event.start_mark)
        if self._depth >= _LIMIT_DEPTH:
            raise _Unwanted(f"this is nested more than {_LIMIT_DEPTH} levels deep", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _build(loader: _Loader, node: yaml.Node, at: Location, lines: dict[Location, int]) -> Any:
    """Return the node's value, and add the line of every key and item under it to `lines`."""
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _mapping(loader, node, at, lines)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        lines.update({(*at, index): item.start_mark.line + 1 for index, item in enumerate(node.value)})
        return [_build(loader, item, (*at, index), lines) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN | _AS_WRITTEN:
        raise _Unwanted("tags (!) are not supported here; put the value in quotes", node.start_mark)
    if node.tag in _AS_WRITTEN:
        return node.value
    if node.tag in _NUMBERS and _ODD_NUMBER.search(node.value):
        raise _Unwanted(
            "a number is written in plain digits, without 0 in front, _, : or x; put text in quotes", node.start_mark
        )
    try:
        return loader.construct_object(node)
    # Examples: a month 13, a number of 5,000 digits, `!!bool perhaps`.
    except (ValueError, KeyError):
        raise _Unwanted("this value makes no sense; put it in quotes", node.start_mark) from None


def _mapping(loader: _Loader, node: yaml.MappingNode, at: Location, lines: dict[Location, int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Unwanted("a key must be one word", key.start_mark)
        # The key as it is written, because YAML does not read the keys `on` and `1` as text.
        name = key.value
        location = (*at, name)
        if name in values:
            reason = f"{dotted(location)} is already on line {lines[location]}; keep one of them"
            raise _Unwanted(reason, key.start_mark)
        lines[location] = key.start_mark.line + 1
        values[name] = _build(loader, value, location, lines)
    return values
