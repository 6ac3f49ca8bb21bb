"""What the registry was found able to do, remembered until it restarts."""

from service.store.connection import Connection


class Abilities:
    """`abilities` in Redis. Every method raises StoreUnavailable when Redis is away.

    restarts: the count in the snapshot's epoch; what was found before a restart counts no more.
    """

    # A registry that hides tags, or could not be tried, is tried again: an operator may have mended it meanwhile.
    HIDES_FOR_MS = 600_000

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = connection.keys.of("abilities")

    def deletes_tags(self, restarts: str) -> bool | None:
        """Whether it deletes a tag alone (Distribution 3 does, 2.8 does not); None: nobody has tried."""
        return self._found("delete a tag", restarts)

    def note_deletes_tags(self, restarts: str, able: bool) -> None:
        self._note("delete a tag", restarts, able)

    def leaves_tags(self, restarts: str) -> bool | None:
        """True if the registry was seen to leave a tag after a DELETE; False if not, None if not known yet."""
        return self._found("leave a tag", restarts)

    def note_leaves_tags(self, restarts: str, able: bool) -> None:
        """Note whether the registry leaves a tag after a DELETE while another begins with its name."""
        self._note("leave a tag", restarts, able)

    def lists_every_tag(self, restarts: str) -> bool | None:
        """True if the registry lists every tag. None: this has to be found out."""
        with self._connection.reached() as client:
            noted: str = client.hget(self._key, "list every tag") or ""
        when, _, found = noted.partition(" ")
        if when != restarts:
            return None
        able, _, until_ms = found.partition(" ")
        if able == "yes":
            return True
        return False if int(until_ms) > self._connection.now_ms() else None

    def note_lists_every_tag(self, restarts: str, able: bool) -> None:
        """Note that the registry lists every tag, or that it hides some."""
        until = "" if able else f" {self._connection.now_ms() + self.HIDES_FOR_MS}"
        with self._connection.reached() as client:
            client.hset(self._key, "list every tag", f"{restarts} {'yes' if able else 'no'}{until}")

    def _found(self, what: str, restarts: str) -> bool | None:
        with self._connection.reached() as client:
            noted = client.hget(self._key, what)
        when, _, able = (noted or "").partition(" ")
        return able == "yes" if noted and when == restarts else None

    def _note(self, what: str, restarts: str, able: bool) -> None:
        with self._connection.reached() as client:
            client.hset(self._key, what, f"{restarts} {'yes' if able else 'no'}")
