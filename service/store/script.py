"""The Lua scripts in scripts/: their text, and the keys and arguments that their heads name.

A head looks like this:

    -- KEYS  tags:R due late:NAME doomed:EACH
    -- ARGV  resend_ms        a description
    --       tags...          a list
    --       images(tag size) rows with these fields

The script uses `tags:R`, a key of the repository, as `r.tags`, and `due` as `all.due`. The caller gives the part of a
name in capital letters (`all['late:NAME']`). `doomed:EACH` belongs to each of several repositories (`each[1].doomed`).
An argument is a local variable, a list is a table, and a row is a table with its fields. The arguments `repository` and
`repositories` are those that the keys belong to.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from service.store.keys import Keys

_FOLDER = files("service.store") / "scripts"
_INCLUDE = re.compile(r"^-- include ([\w/]+)$", re.MULTILINE)
_KEYS = re.compile(r"^-- KEYS  (.*(?:\n--       .*)*)", re.MULTILINE)
_ARGUMENTS = re.compile(r"^-- ARGV  .*(?:\n--       .*)*", re.MULTILINE)
# The descriptions are indented deeper than the names.
_ARGUMENT = re.compile(r"^--(?: ARGV  |       )(\w+)(?:\(([^)]+)\)|(\.\.\.))?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ArgumentName:
    """An argument of a script. fields: of its rows; () if it is no list of rows."""

    name: str
    fields: tuple[str, ...] = ()
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class LuaScript:
    """A script: its text for Redis, and the names of its keys and arguments in the order of its head."""

    name: str
    text: str
    keys: tuple[str, ...]
    arguments: tuple[ArgumentName, ...]

    def bind_keys(
        self, keys: Keys, repository: str, repositories: Sequence[str], members: Mapping[str, str | int]
    ) -> list[str]:
        """Return the names of the keys in Redis.

        Args:
            members: what stands for the words in capital letters in the names of the head.
        """
        members = {"R": repository, **members}
        bound, each = [], []
        for name in self.keys:
            before, _, member = name.rpartition(":")
            if member == "EACH":
                each.append(before)
            elif not member.isupper():
                bound.append(keys.of(name))
            else:
                bound.append(keys.of(before, members[member]) if before else keys.of(str(members[member])))
        return bound + [keys.of(name, member) for member in repositories for name in each]

    def bind_arguments(self, given: Mapping[str, Any]) -> list[str | int]:
        """Return the arguments in the order of the head.

        Args:
            given: argument → text, number, bool (1 or 0) or None (""); a list of these; or rows, each field → value.

        Raises:
            TypeError: an argument or a field is missing, or unknown to the script.
        """
        names = [argument.name for argument in self.arguments]
        if given.keys() != set(names):
            raise TypeError(f"{self.name}.lua takes the arguments {names}, not {list(given)}")
        flat = [_plain(given[argument.name]) for argument in self.arguments if not argument.is_list]
        for argument in self.arguments:
            if argument.is_list:
                rows = given[argument.name]
                flat.append(len(rows))
                flat += (
                    [value for row in rows for value in self._row(argument, row)]
                    if argument.fields
                    else map(_plain, rows)
                )
        return flat

    def _row(self, argument: ArgumentName, row: Mapping[str, Any]) -> list[str | int]:
        if len(row) != len(argument.fields) or not all(field in row for field in argument.fields):
            raise TypeError(
                f"{self.name}.lua: rows of {argument.name} have the fields {argument.fields}, not {list(row)}"
            )
        return [_plain(row[field]) for field in argument.fields]


def _plain(value: Any) -> str | int:
    if value is None:
        return ""
    # The client of Redis refuses a bool.
    return int(value) if isinstance(value, bool) else value


@cache
def lua_script(name: str) -> LuaScript:
    """Return a script by its name: the path of its file below scripts/, without the suffix."""
    text = _text(name)
    head = _KEYS.search(text)
    keys = tuple(head[1].replace("--", " ").split()) if head else ()
    block = _ARGUMENTS.search(text)
    arguments = tuple(
        ArgumentName(word, tuple((fields or "").replace("--", " ").split()), bool(fields or dots))
        for word, fields, dots in _ARGUMENT.findall(block[0] if block else "")
    )
    return LuaScript(name, _prelude(keys, arguments) + _included(text), keys, arguments)


def script_names() -> tuple[str, ...]:
    """Return the names of all scripts, without the parts that they include."""
    return tuple(sorted(path.name.removesuffix(".lua") for path in _FOLDER.iterdir() if path.name.endswith(".lua")))


def _included(text: str) -> str:
    """Return the text with its lines `-- include <name>` replaced by the text of these scripts."""
    return _INCLUDE.sub(lambda line: _included(_text(line[1])), text)


def _text(name: str) -> str:
    return _FOLDER.joinpath(f"{name}.lua").read_text()


def _prelude(keys: Sequence[str], arguments: Sequence[ArgumentName]) -> str:
    """Return one line of Lua that gives the keys and arguments their names."""
    shared = [name for name in keys if not name.endswith(":EACH")]
    each = [name.removesuffix(":EACH") for name in keys if name.endswith(":EACH")]
    tables: dict[str, list[str]] = {"r": [], "all": []}
    for nth, key in enumerate(shared, 1):
        table, field = ("r", key.removesuffix(":R")) if key.endswith(":R") else ("all", key)
        tables[table].append(f"['{field}'] = KEYS[{nth}]")
    lines = [f"local {table} = {{{', '.join(fields)}}}" for table, fields in tables.items() if fields]
    if each:
        fields = ", ".join(f"['{field}'] = KEYS[i + {nth}]" for nth, field in enumerate(each))
        lines.append(
            f"local each = {{}} for i = {len(shared) + 1}, #KEYS, {len(each)} do each[#each + 1] = {{{fields}}} end"
        )
    plain = [argument.name for argument in arguments if not argument.is_list]
    if plain:
        lines.append(f"local {', '.join(plain)} = unpack(ARGV, 1, {len(plain)})")
    lists = [argument for argument in arguments if argument.is_list]
    if lists:
        # A list comes as the number of its rows, then the rows.
        lines.append(f"local {', '.join(argument.name for argument in lists)} do local at = {len(plain) + 1}")
        lines += [_list(argument) for argument in lists]
        lines.append("end")
    if each and any(argument.name == "repositories" for argument in lists):
        lines.append("for i, name in ipairs(repositories) do each[i].name = name end")
    return " ".join((*lines, ""))


def _list(argument: ArgumentName) -> str:
    width = len(argument.fields) or 1
    fields = ", ".join(f"['{field}'] = ARGV[i + {nth}]" for nth, field in enumerate(argument.fields))
    row = f"{{{fields}}}" if argument.fields else "ARGV[i]"
    return (
        f"{argument.name} = {{}} for i = at + 1, at + ARGV[at] * {width}, {width} do "
        f"{argument.name}[#{argument.name} + 1] = {row} end at = at + 1 + ARGV[at] * {width}"
    )
