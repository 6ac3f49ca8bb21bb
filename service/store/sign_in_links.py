"""One-time links that sign a browser in to the dashboard. Only a hash of the secret in each link is stored."""

import hashlib

from service.store.connection import Connection


class SignInLinks:
    """sign_in:NAME in Redis, NAME is the hash of a secret. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, secret: str, life_s: int) -> None:
        """Let this secret sign in once, for so many seconds from now."""
        self._connection.redis.set(self._key(secret), "1", ex=life_s)

    def contains(self, secret: str) -> bool:
        """Return True if this secret still signs in."""
        return bool(self._connection.redis.exists(self._key(secret)))

    def use(self, secret: str) -> bool:
        """Use the secret up. Returns True for one caller only, however many try at the same time."""
        return bool(self._connection.redis.delete(self._key(secret)))

    def _key(self, secret: str) -> str:
        return self._connection.keys.of("sign_in", hashlib.sha256(secret.encode()).hexdigest())
