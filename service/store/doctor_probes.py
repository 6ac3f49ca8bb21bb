"""The doctor's probes: its own pushes, whose notifications the web process reports, and requests that the gate saw."""

from typing import Literal

from service.store.connection import Connection

_LIFE_S = 300

ProbeState = Literal["", "waiting", "received", "received references"]


class DoctorProbes:
    """probe:NAME in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def begin(self, name: str) -> None:
        """Record that a doctor waits for this probe."""
        self._connection.redis.set(self._keys.of("probe", name), "waiting", ex=_LIFE_S)

    def received(self, name: str, *, references: bool) -> None:
        """Record that the registry sent a notification of the probe. Does nothing if no doctor waits for the probe."""
        # XX: a probe that no doctor waits for must leave no key. KEEPTTL: the answer must not prolong its life.
        self._connection.redis.set(
            self._keys.of("probe", name), "received references" if references else "received", xx=True, keepttl=True
        )

    def state(self, name: str) -> ProbeState:
        """Return the state of the probe; "" if there is no such probe."""
        state: ProbeState = self._connection.redis.get(self._keys.of("probe", name)) or ""
        return state

    def end(self, name: str) -> None:
        """Record that no doctor waits for the probe any more."""
        self._connection.redis.delete(self._keys.of("probe", name))

    def admitted(self, repository: str, client_hash: str) -> bool:
        """Return True if the gate admitted a request to this repository, and delete the gate's notes of such requests.

        client_hash: the gate's name for a User-Agent. Notes from notifications (`~`) do not count: such a push may have
        bypassed the gate.
        """
        key = self._keys.of("pushing")
        client = self._connection.redis
        noted = [member for member in client.zrange(key, 0, -1) if _is_of(member, repository, client_hash)]
        if noted:
            client.zrem(key, *noted)
        return bool(noted)


def _is_of(member: str, repository: str, client_hash: str) -> bool:
    where, client, *_ = [*member.split(" "), ""]
    return where == repository and client.endswith(f"/{client_hash}") and not client.startswith("~")
