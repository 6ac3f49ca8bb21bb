"""How much happened when: entries of the history counted by kind and by stretch of time."""

from service.domain.tally import Tally
from service.store.connection import Connection

_AT_ONCE = 2000  # Redis serves others in between


class Tallies:
    """Raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def since(self, since_ms: int, stretch_ms: int, at_most: int = 100_000) -> Tally:
        """What was recorded since then, in stretches of so many ms. at_most: entries that are read, the newest."""
        counts: dict[int, dict[str, int]] = {}
        before, read = "+", 0
        while read < at_most:
            key = self._connection.keys.of("events")
            seen, before, *rows = self._connection.script("tally", [key], [since_ms, before, stretch_ms, _AT_ONCE])
            read += int(seen)
            for begins_ms, action, count in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
                actions = counts.setdefault(int(begins_ms), {})
                actions[action] = actions.get(action, 0) + int(count)
            if int(seen) < _AT_ONCE:
                return Tally(counts)
        return Tally(counts, is_whole=False)
