"""The doctor's probes: a push of its own, which the web process says it heard of; and requests that the gate saw."""

from typing import Literal

from service.store.connection import Connection

_LIFE_S = 300

Heard = Literal["", "waiting", "heard", "heard references"]


class Probes:
    """probe:NAME in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def begin(self, name: str) -> None:
        """From now on somebody waits for this probe."""
        with self._connection.reached() as client:
            client.set(self._keys.probe(name), "waiting", ex=_LIFE_S)

    def heard(self, name: str, *, references: bool) -> None:
        """The registry told of the probe; nothing is noted of one that nobody waits for."""
        with self._connection.reached() as client:
            client.set(self._keys.probe(name), "heard references" if references else "heard", xx=True, keepttl=True)

    def state(self, name: str) -> Heard:
        """What is known of the probe; "" for none."""
        with self._connection.reached() as client:
            state: Heard = client.get(self._keys.probe(name)) or ""
        return state

    def end(self, name: str) -> None:
        """Nobody waits for it any more."""
        with self._connection.reached() as client:
            client.delete(self._keys.probe(name))

    def admitted(self, repository: str, client_hash: str) -> bool:
        """Whether the gate let a request to this repository pass; its notes of that are taken back.

        client_hash: how it names a User-Agent. What notifications told of (`~`) does not count: that may have come past
        the gate.
        """
        key = self._keys.of("pushing")
        with self._connection.reached() as client:
            noted = [member for member in client.zrange(key, 0, -1) if _is_of(member, repository, client_hash)]
            if noted:
                client.zrem(key, *noted)
        return bool(noted)


def _is_of(member: str, repository: str, client_hash: str) -> bool:
    where, who, *_ = [*member.split(" "), ""]
    return where == repository and who.endswith(f"/{client_hash}") and not who.startswith("~")
