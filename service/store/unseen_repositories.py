"""The repositories that notifications named and no comparison has found at the registry yet."""

from service.store.connection import Connection
from service.store.limits import Limits

# Parts of an image are pushed before the first tag of its repository.
_OLD_MS = 10 * 60_000


class UnseenRepositories:
    """Repositories that may not exist. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection, self._key, self._limits = connection, connection.keys.of("unseen"), limits

    def has(self, repository: str) -> bool:
        """Return True if no comparison has found a tag of this repository at the registry yet."""
        return self._connection.redis.zscore(self._key, repository) is not None

    def old(self) -> tuple[str, ...]:
        """Return the repositories whose first event is old, once there are half as many as the limit allows."""
        until_ms = self._connection.now_ms() - _OLD_MS
        if self._connection.redis.zcard(self._key) * 2 < self._limits.unseen_repositories:
            return ()
        return tuple(self._connection.redis.zrangebyscore(self._key, "-inf", until_ms))

    def forget(self, repository: str) -> bool:
        """Forget a repository that is known from old events alone; return False if anything else is known."""
        return bool(self._connection.run("forget_unseen", repository, known_ms=_OLD_MS))
