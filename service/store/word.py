"""The secret word of this installation. It marks its own requests in events, as any client may use its name."""

import secrets
import time

from service.domain.errors import StoreUnavailable
from service.store.connection import Connection

# A process may use an outdated word for this long after Redis lost everything and another process stored a new one.
_READ_AGAIN_S = 10.0


class Word:
    """The key `word` of Redis, remembered by this process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: tuple[str, float] | None = None

    def __call__(self) -> str:
        """Return the word. If there is none, all processes agree on a random word.

        If Redis lost everything, the word that this process knows is stored again.

        Raises:
            StoreUnavailable: Redis is away, and this process never knew the word.
        """
        known, now_s = self._known, time.monotonic()
        if known and now_s < known[1]:
            return known[0]
        try:
            word = self._agree_on(known[0] if known else secrets.token_urlsafe(16))
        except StoreUnavailable:
            if known is None:
                raise
            word = known[0]
        self._known = word, now_s + _READ_AGAIN_S
        return word

    def _agree_on(self, proposed: str) -> str:
        key = self._connection.keys.of("word")
        with self._connection.redis.pipeline() as pipeline:
            # NX: the first process decides, and all others read its word.
            pipeline.set(key, proposed, nx=True)
            pipeline.get(key)
            return str(pipeline.execute()[1])
