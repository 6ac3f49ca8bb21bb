"""Pack the entries of history:R and unpack them again: the names in them, as in live:R, are numbers of a dictionary.

The values of tag, size, address, at_us and reason stay as they are. The digest is short. Action, actor, agent, rule and
media are numbers of names in `dictionary`; a name that is not there follows a "=". lib/entry.lua packs, too.
"""

from collections.abc import Mapping
from types import MappingProxyType

from service.store.connection import Connection
from service.store.keys import long, short

_NAMED = ("action", "actor", "agent", "rule", "media")
_LOST = "unknown"
MOST_NAMES = 4096


def packed_row(fields: Mapping[str, str], numbers: Mapping[str, int] = MappingProxyType({})) -> dict[str, str]:
    """Return the fields of an entry as history:R holds them. numbers: of names in `dictionary`."""
    names = {name: packed_name(fields[name], numbers) for name in _NAMED}
    return {**fields, "digest": short(fields["digest"]), **names}


def names_in(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of an entry that the dictionary has a number for."""
    return tuple(fields[name] for name in _NAMED if fields[name])


def packed_name(name: str, numbers: Mapping[str, int]) -> str:
    """Return the number of a name; "=" and the name if it has none."""
    if not name:
        return ""
    return str(numbers[name]) if name in numbers else f"={name}"


class Dictionary:
    """The names behind the numbers, for one reading of a history or of tags."""

    # Not for the life of a process: after a wiped Redis, or a failover that lost writes, a number gets another name.

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}

    def flat_row(self, packed: Mapping[str, str]) -> dict[str, str]:
        """Return the fields of an entry of history:R as `events` holds them."""
        digest = packed["digest"]
        names = {name: self.name(packed[name]) for name in _NAMED}
        return {**packed, "digest": long(digest) if digest else "", **names}

    def name(self, packed: str) -> str:
        """Return the name behind its number, or behind a "="."""
        if packed in self._names:
            return self._names[packed]
        if not packed or packed[0] == "=":
            return packed[1:]
        numbers = self._connection.redis.hgetall(self._connection.keys.of("dictionary"))
        self._names = {number: name for name, number in numbers.items()}
        return self._names.setdefault(packed, _LOST)
