"""What somebody wants deleted by hand, and what was answered."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from service.domain.retention.state import Asked
from service.store.connection import Connection
from service.store.keys import short
from service.store.outbox import RESEND_MS
from service.store.packing import pack_asked, unpack_asked

_LIFE_S = 7 * 86_400


class Asks:
    """asked:R in Redis. A tag goes by its name, a manifest by its digest. Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def ask(
        self,
        repository: str,
        wanted: Mapping[str, str],
        by: str,
        *,
        force: bool = False,
        released: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Asks for the deletion of tags or manifests: name → the digest that was seen there. Returns what was noted.

        What stands elsewhere by now is not. force: as in Asked. released: digests that were restored, and are no longer
        kept on account of that. The caller has the repository planned.
        """
        if not wanted:
            return ()
        at_us, names = self._connection.now_us(), {}
        args: list[str | int] = [repository, RESEND_MS, _LIFE_S, len(released), *released]
        for name, digest in wanted.items():
            names[_field(name)] = name
            asked = Asked(digest, by, at_us, force=force)
            args += [_field(name), digest, short(digest), pack_asked(asked)]
        noted = self._connection.run("ask", args, repository)
        return tuple(names[field] for field in noted)

    def standing(self, repository: str) -> Mapping[str, Asked]:
        """What was asked for and is not done yet, and what was refused."""
        with self._connection.reached() as client:
            fields = client.hgetall(self._keys.asked(repository))
        found = ((field, unpack_asked(text)) for field, text in fields.items())
        return {one.digest if "@" in field else field: one for field, one in found}

    def answer(self, repository: str, asked: Mapping[str, Asked], answers: Mapping[str, str]) -> None:
        """Notes why these are not followed; "" drops what says nothing any more. One that is asked anew stays."""
        args = []
        for name, reason in answers.items():
            told = pack_asked(replace(asked[name], refused=reason)) if reason else ""
            args += [_field(name), pack_asked(asked[name]), told]
        self._connection.run("answer", args, repository)


def _field(name: str) -> str:
    return f"@{short(name)}" if ":" in name else name
