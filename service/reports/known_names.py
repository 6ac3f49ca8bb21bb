"""The names in Redis, for the completion of a shell: read directly, as the user waits for them at each key."""

from collections.abc import Iterable

from service.settings import Settings
from service.store.connection import Connection, connect
from service.store.keys import Keys

_ANSWER_S = 0.5
_MOST = 2000


class KnownNames:
    """Repositories and tags by the beginning of their names, at most 2000. Raises StoreUnavailable."""

    # Not built by wiring.py, which imports all that pushprune consists of: that takes longer than a user waits.
    def __init__(self, settings: Settings) -> None:
        keys = Keys(settings.redis.prefix)
        client = connect(settings.redis.address or "", answer_s=_ANSWER_S)
        self._redis, self._of = Connection(client, keys).redis, keys.of

    def repositories(self, beginning: str) -> list[str]:
        """Return the known repositories."""
        return self._first(self._redis.hkeys(self._of("generation")), beginning)

    def tags(self, repository: str, beginning: str) -> list[str]:
        """Return the live tags of a repository."""
        return self._first(self._redis.zrange(self._of("tags", repository), 0, -1), beginning)

    def deleted_tags(self, repository: str, beginning: str) -> list[str]:
        """Return the tags of a repository whose deletion can be undone."""
        fields = self._first(self._redis.hkeys(self._of("deleted", repository)), beginning)
        # A field that begins with @ is of a manifest without a tag.
        return list(dict.fromkeys(field.partition(" ")[0] for field in fields if not field.startswith("@")))

    def _first(self, names: Iterable[str], beginning: str) -> list[str]:
        return sorted(name for name in names if name.startswith(beginning))[:_MOST]
