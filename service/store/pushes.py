"""The pushes that were recorded after the snapshot of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.oci.manifest import References
from service.domain.retention.overtaken import LaterPush
from service.store.keys import long


@dataclass(frozen=True, slots=True)
class PushesSince:
    """The pushes since a snapshot, in order, and the generation that the last of them led to.

    An index that was read is like an index that was pushed by its digest.
    """

    generation: str
    pushes: tuple[LaterPush, ...]


def unpack_pushes(before: str, now: str, noted: Sequence[str]) -> PushesSince | None:
    """Return the pushes between two generations; None if not every generation between them is a noted push.

    Args:
        before: the generation of the snapshot.
        noted: the values of pushes:R.
    """
    by_generation = {}
    for text in noted:
        generation, digest, tag, *unread = text.split(" ")
        by_generation[int(generation)] = LaterPush(tag, long(digest), None if unread else References())
    since = range(int(before) + 1, int(now) + 1)
    # A missing generation is a change of another kind: a deletion, a protection, a changed policy, …
    if not 0 < len(since) <= len(by_generation) or not all(generation in by_generation for generation in since):
        return None
    return PushesSince(now, tuple(by_generation[generation] for generation in since))
