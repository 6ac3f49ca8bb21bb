"""One YAML file read with the line of every key, or refused with one sentence."""

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
_LIMIT_DEPTH = 40
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp")}
_AS_WRITTEN = {_TAG + name for name in ("merge", "value")}
_NUMBERS = {_TAG + "int", _TAG + "float"}
# To YAML 010 is 8, 10:00 is 600 and 1_0 is 10, and nobody who writes them thinks so.
_ODD_NUMBER = re.compile(r"[_:xX]|^[-+]?0[0-9b]")
_UNQUOTED = re.compile(r"(?:^|[\s\[,:-])[*!&][^\s'\"]*|[\[,-]\s*\{[^:}]*\}")
_QUOTED = re.compile(r"(['\"])[\w!.-]{2,}\1")


@dataclass(frozen=True)
class Document:
    """A file's values, and the line on which each key or list item stands (the first line is 1)."""

    file: Path
    values: dict[str, Any]
    lines: Mapping[Location, int]

    def line(self, location: Location) -> int:
        """The line of the key, or of the nearest key around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def subject(self, location: Location) -> str:
        """What to call the value at this location when something is wrong with it."""
        place = f"{self.file}, line {self.line(location)}"
        return f"{place}: {dotted(location)}" if location else place

    def spell(self, name: str) -> str:
        """How a key of this dotted name is written here."""
        return name


def dotted(location: Location) -> str:
    """A location as people write it: policy.rules[0].keep."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def read_text(file: Path, limit_bytes: int = LIMIT_BYTES) -> str:
    """The text of a regular file, without a byte order mark; ConfigurationError when there is none to be had."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigurationError(f"cannot read {file}: it is not a file")
        with file.open("rb") as stream:
            content = stream.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"cannot read {file}: {reason}") from error
    if len(content) > limit_bytes:
        raise ConfigurationError(f"cannot read {file}: it is larger than {limit_bytes // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: this is not UTF-8 text") from error


def read_document(file: Path) -> Document:
    """The file's top-level mapping, {} when it is empty; ConfigurationError names file and line."""
    return parse_document(read_text(file), file)


def parse_document(text: str, file: Path) -> Document:
    """The text's top-level mapping, as above. file: what it is called."""
    lines: dict[Location, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        values = {} if node is None else _build(loader, node, (), lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(f"{file}, line {line}: this character has no place in YAML") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(f"{file}, line {line}: {_reason(error)}{_quoting(text, line)}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{file}, line 1: this must hold `key: value` lines")
    return Document(file, values, lines)


class _Unwanted(yaml.MarkedYAMLError):
    """YAML, but more of it than a configuration needs; `problem` says what."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


def _reason(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, _Unwanted):
        return str(error.problem)
    # What it quotes may be a secret that should have stood in quotes.
    said = _QUOTED.sub("…", ", ".join(filter(None, (error.context, error.problem))))
    return f"this is not YAML: {' '.join(said.split())}"


def _quoting(text: str, line: int) -> str:
    """What to do about a pattern without quotes on the line or beside it, which YAML reads as something of its own."""
    near = text.splitlines()[max(line - 2, 0) : line + 1]
    return "; put patterns in quotes: '!pr-*'" if any(_UNQUOTED.search(one) for one in near) else ""


class _Loader(yaml.SafeLoader):
    """A SafeLoader that stops at aliases and at deep nesting: neither a bomb nor a recursion gets past it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            reason = "anchors (&) and aliases (*) are not understood here; repeat the value, or put it in quotes"
            raise _Unwanted(reason, event.start_mark)
        if self._depth >= _LIMIT_DEPTH:
            raise _Unwanted(f"this is nested more than {_LIMIT_DEPTH} levels deep", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _build(loader: _Loader, node: yaml.Node, at: Location, lines: dict[Location, int]) -> Any:
    """The node's value; notes the line of every key and item under it."""
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _mapping(loader, node, at, lines)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        lines.update({(*at, index): item.start_mark.line + 1 for index, item in enumerate(node.value)})
        return [_build(loader, item, (*at, index), lines) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN | _AS_WRITTEN:
        raise _Unwanted("tags (!) are not understood here; put the value in quotes", node.start_mark)
    if node.tag in _AS_WRITTEN:
        return node.value
    if node.tag in _NUMBERS and _ODD_NUMBER.search(node.value):
        raise _Unwanted(
            "a number is written in plain digits, without 0 in front, _, : or x; put text in quotes", node.start_mark
        )
    try:
        return loader.construct_object(node)
    except (ValueError, KeyError):  # a month 13, a number of 5,000 digits, !!bool perhaps
        raise _Unwanted("this value makes no sense; put it in quotes", node.start_mark) from None


def _mapping(loader: _Loader, node: yaml.MappingNode, at: Location, lines: dict[Location, int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Unwanted("a key must be one word", key.start_mark)
        name = key.value  # as written: YAML would read the keys `on` and `1` as something else than text
        here = (*at, name)
        if name in values:
            raise _Unwanted(f"{dotted(here)} is already on line {lines[here]}; keep one of them", key.start_mark)
        lines[here] = key.start_mark.line + 1
        values[name] = _build(loader, value, here, lines)
    return values
