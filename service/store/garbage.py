"""The garbage of the storage in Redis, as the last collection or dry run saw it."""

import json
from dataclasses import asdict

from service.domain.collection.garbage import Garbage, GarbageStage, GarbageStep, RepositoryGarbage
from service.store.connection import Connection

_REPOSITORIES = 200
_STEPS = 500


class GarbageRecord:
    """The record of the garbage. Every method raises StoreUnavailable if Redis is unavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = connection.keys.of("gc:garbage")

    def note(self, garbage: Garbage) -> None:
        """Keep this as the garbage that is known."""
        kept = Garbage(garbage.at_ms, garbage.repositories[:_REPOSITORIES], garbage.steps[:_STEPS])
        with self._connection.reached() as client:
            client.set(self._key, json.dumps(asdict(kept)))

    def last(self) -> Garbage | None:
        """Return the garbage that was seen last, None if it was never looked for."""
        with self._connection.reached() as client:
            text = client.get(self._key)
        if text is None:
            return None
        kept = json.loads(text)
        return Garbage(
            kept["at_ms"],
            tuple(RepositoryGarbage(**share) for share in kept["repositories"]),
            tuple(GarbageStep(**{**step, "stage": GarbageStage(step["stage"])}) for step in kept["steps"]),
        )
