"""Pack the entries of history:R and unpack them again: the names in them are numbers of a dictionary.

The values of tag, size, address, at_us and reason stay as they are. The digest is short. Action, actor, agent, rule and
media are numbers of names in `dictionary`; a name that is not there follows a "=". lib/entry.lua packs, too.
"""

from collections.abc import Mapping

from service.store.connection import Connection
from service.store.keys import long, short

_NAMED = ("action", "actor", "agent", "rule", "media")
_LOST = "unknown"


def packed_row(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an entry as history:R holds them, without numbers for its names."""
    names = {name: f"={fields[name]}" if fields[name] else "" for name in _NAMED}
    return {**fields, "digest": short(fields["digest"]), **names}


class Dictionary:
    """The names behind the numbers, for one reading of a history."""

    # Not for the life of a process: after a wiped Redis, or a failover that lost writes, a number gets another name.

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}

    def flat_row(self, packed: Mapping[str, str]) -> dict[str, str]:
        """Return the fields of an entry of history:R as `events` holds them."""
        digest = packed["digest"]
        names = {name: self._name(packed[name]) for name in _NAMED}
        return {**packed, "digest": long(digest) if digest else "", **names}

    def _name(self, packed: str) -> str:
        if not packed or packed[0] == "=":
            return packed[1:]
        if packed not in self._names:
            with self._connection.reached() as client:
                numbers = client.hgetall(self._connection.keys.of("dictionary"))
            self._names = {number: name for name, number in numbers.items()}
        return self._names.setdefault(packed, _LOST)
