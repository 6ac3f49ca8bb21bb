"""How many changes were asked for over the API lately, by whatever process took them."""

from service.store.connection import Connection


class Changes:
    """The count of a minute, which begins with its first change. Raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, per_minute: int) -> None:
        self._connection = connection
        self._per_minute = per_minute

    def wait_s(self) -> int:
        """0 where one more may be made, which is counted; else after how many seconds to ask again."""
        free, left_ms = self._connection.run("change", [self._per_minute])
        return 0 if free else max(1, -(-int(left_ms) // 1000))
