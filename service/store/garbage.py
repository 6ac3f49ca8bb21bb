"""The garbage of the storage in Redis, as the last collection or dry run saw it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from service.domain.collection.garbage import Garbage, GarbageStage, GarbageStep, RepositoryGarbage
from service.domain.collection.leftovers import Leftover, LeftoverKind
from service.store.chunks import chunks
from service.store.connection import Connection

_REPOSITORIES = 200
_STEPS = 500


class GarbageRecord:
    """The record of the garbage. Every method raises StoreUnavailable if Redis is unavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key, self._restorable = connection.keys.of("gc:garbage"), connection.keys.of("gc:restorable")

    def note(self, garbage: Garbage) -> None:
        """Store the garbage that a collection or a dry run has found."""
        kept = replace(
            garbage,
            repositories=garbage.repositories[:_REPOSITORIES],
            steps=garbage.steps[:_STEPS],
            leftovers=garbage.leftovers[:_STEPS],
        )
        self._connection.redis.set(self._key, json.dumps(asdict(kept)))

    def note_restorable(self, images: Mapping[tuple[str, str], tuple[GarbageStage, int]]) -> None:
        """Keep the stages of the images of the trash, in place of those that were kept before.

        Args:
            images: (repository, digest) → the stage of the blob that is deleted first, and its beginning (ms).
        """
        key = self._restorable
        values = {
            f"{name} {digest}": f"{stage.name} {since_ms}" for (name, digest), (stage, since_ms) in images.items()
        }
        with self._connection.redis.pipeline() as pipe:
            pipe.delete(key)
            if values:
                pipe.hset(key, mapping=values)
            pipe.execute()

    def restorable(self, images: Sequence[tuple[str, str]]) -> tuple[tuple[GarbageStage, int] | None, ...]:
        """Return the stages of these images (repository, digest); None if no collection has begun with their blobs."""
        if not images:
            return ()
        fields = [f"{name} {digest}" for name, digest in images]
        values = [value for part in chunks(fields) for value in self._connection.redis.hmget(self._restorable, part)]
        words = (str(value).partition(" ") if value else None for value in values)
        return tuple(word and (GarbageStage[word[0]], int(word[2])) for word in words)

    def last(self) -> Garbage | None:
        """Return the garbage that was seen last, None if it was never looked for."""
        text = self._connection.redis.get(self._key)
        return None if text is None else unpack_garbage(text)


def unpack_garbage(text: str) -> Garbage:
    """Return the garbage behind the value of gc:garbage."""
    kept = json.loads(text)
    return Garbage(
        kept["at_ms"],
        tuple(RepositoryGarbage(**share) for share in kept["repositories"]),
        tuple(GarbageStep(**{**step, "stage": GarbageStage(step["stage"])}) for step in kept["steps"]),
        tuple(Leftover(**{**each, "kind": LeftoverKind(each["kind"])}) for each in kept.get("leftovers", ())),
    )
