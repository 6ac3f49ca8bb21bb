"""The abilities of the registry, as pushprune observed them. They are valid until the registry restarts."""

from service.store.connection import Connection


class Capabilities:
    """`capabilities` in Redis. Every method raises StoreUnavailable when Redis is away.

    Each method takes `restarts`, the restart count in the snapshot's epoch: an observation made before a restart is
    ignored.
    """

    # A registry that hides tags is tested again after this time: an operator may have fixed it meanwhile.
    HIDES_FOR_MS = 600_000

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = connection.keys.of("capabilities")

    def deletes_tags(self, restarts: str) -> bool | None:
        """Return True if the registry can delete a tag alone, None if pushprune has not tried yet.

        Distribution 3 can, 2.8 cannot.
        """
        return self._ability("delete a tag", restarts)

    def note_deletes_tags(self, restarts: str, able: bool) -> None:
        """Record if the registry can delete a tag alone."""
        self._note("delete a tag", restarts, able)

    def leaves_tags(self, restarts: str) -> bool | None:
        """Return True if the registry was seen to leave a tag after a DELETE, False if not, None if not known yet."""
        return self._ability("leave a tag", restarts)

    def note_leaves_tags(self, restarts: str, able: bool) -> None:
        """Record whether the registry leaves a tag after a DELETE while another tag name begins with its name."""
        self._note("leave a tag", restarts, able)

    def lists_every_tag(self, restarts: str) -> bool | None:
        """Return True if the registry lists every tag, False if it hides some, None if that must be tested."""
        noted: str = self._connection.redis.hget(self._key, "list every tag") or ""
        when, _, state = noted.partition(" ")
        if when != restarts:
            return None
        able, _, until_ms = state.partition(" ")
        if able == "yes":
            return True
        return False if int(until_ms) > self._connection.now_ms() else None

    def note_lists_every_tag(self, restarts: str, able: bool) -> None:
        """Record that the registry lists every tag, or that it hides some."""
        until = "" if able else f" {self._connection.now_ms() + self.HIDES_FOR_MS}"
        self._connection.redis.hset(self._key, "list every tag", f"{restarts} {'yes' if able else 'no'}{until}")

    def _ability(self, ability: str, restarts: str) -> bool | None:
        noted = self._connection.redis.hget(self._key, ability)
        when, _, able = (noted or "").partition(" ")
        return able == "yes" if noted and when == restarts else None

    def _note(self, ability: str, restarts: str, able: bool) -> None:
        self._connection.redis.hset(self._key, ability, f"{restarts} {'yes' if able else 'no'}")
