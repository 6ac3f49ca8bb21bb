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

# A digest of live:R is bytes.
Argument = str | bytes | int
_FOLDER = files("service.store") / "scripts"
_INCLUDE = re.compile(r"^-- include ([\w/]+)$", re.MULTILINE)
_KEYS = re.compile(r"^-- KEYS  (.*(?:\n--       .*)*)", re.MULTILINE)
_ARGUMENTS = re.compile(r"^-- ARGV  .*(?:\n--       .*)*", re.MULTILINE)
# The descriptions are indented deeper than the names.
_ARGUMENT = re.compile(r"^--(?: ARGV  |       )(\w+)(?:\(([^)]+)\)|(\.\.\.))?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ListArgument:
    """A list that a script takes. fields: of its rows, in their order; {} for a list of plain values."""

    name: str
    fields: dict[str, None]


@dataclass(frozen=True, slots=True)
class LuaScript:
    """A script: its text for Redis, and the names of its keys and arguments in the order of its head.

    Attributes:
        keys: of all repositories or of one, each with what follows its last colon, if the caller gives that.
        each: of each of several repositories.
        members: what the caller gives: the words in capital letters in the names of keys.
    """

    name: str
    text: str
    keys: tuple[tuple[str, str], ...]
    each: tuple[str, ...]
    values: tuple[str, ...]
    lists: tuple[ListArgument, ...]
    names: frozenset[str]
    members: frozenset[str]

    def bind_keys(
        self, keys: Keys, repository: str, repositories: Sequence[str], members: Mapping[str, str | int]
    ) -> list[str]:
        """Return the names of the keys in Redis.

        Args:
            members: the values of the words in capital letters in the names of the head.
        """
        key, members = keys.of, {"R": repository, **members}
        bound = [
            key(name) if not member else key(name, members[member]) if name else key(str(members[member]))
            for name, member in self.keys
        ]
        for name in repositories:
            bound += keys.of_each(self.each, name)
        return bound

    def bind_arguments(self, given: Mapping[str, Any]) -> list[Argument]:
        """Return the arguments in the order of the head.

        Args:
            given: argument → text, bytes, number, bool (1 or 0) or None (""); a list of these; or rows, each field →
                value.

        Raises:
            TypeError: an argument or a field is missing, or unknown to the script.
        """
        if given.keys() != self.names:
            raise TypeError(f"{self.name}.lua takes the arguments {sorted(self.names)}, not {sorted(given)}")
        flat = [given[name] for name in self.values]
        for argument in self.lists:
            rows = given[argument.name]
            flat.append(len(rows))
            if not argument.fields:
                flat += rows
                continue
            for row in rows:
                if row.keys() == argument.fields.keys():
                    flat += map(row.__getitem__, argument.fields)
                else:
                    fields = list(argument.fields)
                    raise TypeError(
                        f"{self.name}.lua: rows of {argument.name} have the fields {fields}, not {list(row)}"
                    )
        return [value if type(value) is str or type(value) is int else _plain(value) for value in flat]


def _plain(value: Any) -> Argument:
    if value is None:
        return ""
    # The client of Redis refuses a bool.
    return int(value) if isinstance(value, bool) else value


@cache
def lua_script(name: str) -> LuaScript:
    """Return a script by its name: the path of its file below scripts/, without the suffix."""
    text = _text(name)
    head, block = _KEYS.search(text), _ARGUMENTS.search(text)
    names = head[1].replace("--", " ").split() if head else []
    keys = [_split(name) for name in names if not name.endswith(":EACH")]
    each = [name.removesuffix(":EACH") for name in names if name.endswith(":EACH")]
    values, lists = [], []
    for word, fields, dots in _ARGUMENT.findall(block[0] if block else ""):
        if fields or dots:
            lists.append(ListArgument(word, dict.fromkeys(fields.replace("--", " ").split())))
        else:
            values.append(word)
    text = _prelude(names, values, lists) + _included(text)
    members = frozenset(member for _, member in keys) - {"", "R"}
    arguments = frozenset((*values, *(argument.name for argument in lists)))
    return LuaScript(name, text, tuple(keys), tuple(each), tuple(values), tuple(lists), arguments, members)


def _split(name: str) -> tuple[str, str]:
    """Return the name of a key, and what follows its last colon if the caller gives that."""
    before, _, member = name.rpartition(":")
    return (before, member) if member.isupper() else (name, "")


def script_names() -> tuple[str, ...]:
    """Return the names of all scripts, without the parts that they include."""
    return tuple(sorted(path.name.removesuffix(".lua") for path in _FOLDER.iterdir() if path.name.endswith(".lua")))


def _included(text: str) -> str:
    """Return the text with its lines `-- include <name>` replaced by the text of these scripts."""
    return _INCLUDE.sub(lambda line: _included(_text(line[1])), text)


def _text(name: str) -> str:
    return _FOLDER.joinpath(f"{name}.lua").read_text("utf-8")


def _prelude(keys: Sequence[str], values: Sequence[str], lists: Sequence[ListArgument]) -> str:
    """Return one line of Lua that gives the keys and arguments their names."""
    shared = [name for name in keys if not name.endswith(":EACH")]
    each = [name.removesuffix(":EACH") for name in keys if name.endswith(":EACH")]
    tables: dict[str, list[str]] = {"r": [], "all": []}
    for nth, key in enumerate(shared, 1):
        table, field = ("r", key.removesuffix(":R")) if key.endswith(":R") else ("all", key)
        tables[table].append(f"['{field}'] = KEYS[{nth}]")
    parts = [f"local {table} = {{{', '.join(fields)}}}" for table, fields in tables.items() if fields]
    if each:
        fields = ", ".join(f"['{field}'] = KEYS[i + {nth}]" for nth, field in enumerate(each))
        parts.append(
            f"local each = {{}} for i = {len(shared) + 1}, #KEYS, {len(each)} do each[#each + 1] = {{{fields}}} end"
        )
    if values:
        parts.append(f"local {', '.join(values)} = unpack(ARGV, 1, {len(values)})")
    if lists:
        # A list comes as the number of its rows, then the rows.
        parts.append(f"local {', '.join(argument.name for argument in lists)} do local at = {len(values) + 1}")
        parts += [*map(_list, lists), "end"]
    if each and any(argument.name == "repositories" for argument in lists):
        parts.append("for i, name in ipairs(repositories) do each[i].name = name end")
    return " ".join((*parts, ""))


def _list(argument: ListArgument) -> str:
    width = len(argument.fields) or 1
    fields = ", ".join(f"['{field}'] = ARGV[i + {nth}]" for nth, field in enumerate(argument.fields))
    row = f"{{{fields}}}" if argument.fields else "ARGV[i]"
    return (
        f"{argument.name} = {{}} for i = at + 1, at + ARGV[at] * {width}, {width} do "
        f"{argument.name}[#{argument.name} + 1] = {row} end at = at + 1 + ARGV[at] * {width}"
    )
