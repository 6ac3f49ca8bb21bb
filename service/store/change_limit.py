"""The number of changes that users requested over the API within a minute, counted for all processes together."""

from service.store.connection import Connection


class ChangeLimit:
    """The count of one minute, which begins with its first change. Raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, per_minute: int) -> None:
        self._connection = connection
        self._per_minute = per_minute

    def wait_s(self) -> int:
        """Count one more change and return 0; at the limit, return the seconds to wait before the next try."""
        free, left_ms = self._connection.run("count_change", per_minute=self._per_minute)
        # Round up: a caller that returned too early would be refused again.
        return 0 if free else max(1, -(-int(left_ms) // 1000))
