"""Leases by which users protect images from deletion."""

from collections.abc import Sequence

from service.store.connection import Connection


class Protections:
    """leased:R in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def protect(self, repository: str, digests: Sequence[str], life_s: int) -> int:
        """Protect these digests for `life_s`, or longer if they already are; return until when (µs)."""
        until_ms = self._connection.now_ms() + life_s * 1000
        # GT: a longer protection must not be shortened.
        self._connection.redis.zadd(self._keys.of("leased", repository), dict.fromkeys(digests, until_ms), gt=True)
        return until_ms * 1000

    def end(self, repository: str, digests: Sequence[str]) -> int:
        """End the protection of these digests, also of those that were restored; return how many were protected."""
        with self._connection.redis.pipeline() as pipe:
            for name in ("leased", "restored"):
                pipe.zrem(self._keys.of(name, repository), *digests)
            return max(int(count) for count in pipe.execute())
