"""The dashboard sessions that were signed out, kept for as long as their cookies would be valid."""

from service.store.connection import Connection


class EndedSessions:
    """signout:NAME in Redis, NAME is the id of a session. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: str, life_s: int) -> None:
        """Refuse this session from now on. life_s: how long a cookie of it is valid at most."""
        self._connection.redis.set(self._connection.keys.of("signout", session), "1", ex=life_s)

    def contains(self, session: str) -> bool:
        """Return True if this session was signed out."""
        return bool(self._connection.redis.exists(self._connection.keys.of("signout", session)))
