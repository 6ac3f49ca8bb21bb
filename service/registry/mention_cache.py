"""The digests that manifests mention, read once: a manifest never changes."""

from array import array
from collections.abc import Collection
from threading import Lock

from service.domain.collection.digests import DigestTable
from service.domain.collection.mentions import Mentions


class MentionCache:
    """The mentions of the manifests of the last collection, in memory.

    Each digest takes 50 bytes, and each manifest 150 and 4 for each digest that it mentions.
    """

    def __init__(self) -> None:
        self._digests = DigestTable()
        # By the number of the manifest: is_known, the number of its parts, and the numbers of its digests, parts first.
        self._mentions: dict[int, bytes] = {}
        self._forgotten = 0
        # A collection that lost its lease may still mark when another thread of this process begins the next one.
        self._lock = Lock()

    def get(self, digest: bytes) -> Mentions | None:
        """Return the mentions of a manifest; None if they are not known."""
        with self._lock:
            number = self._digests.number(digest)
            return None if number is None or number not in self._mentions else self._mentions_of(number)

    def add(self, digest: bytes, mentions: Mentions) -> None:
        """Remember the mentions of a manifest."""
        with self._lock:
            numbers = map(self._digests.add, (*mentions.parts, *mentions.digests - mentions.parts))
            row = array("i", (mentions.is_known, len(mentions.parts), *numbers))
            self._mentions[self._digests.add(digest)] = row.tobytes()

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Forget all other manifests."""
        with self._lock:
            self._forget_others(digests)

    def _forget_others(self, digests: Collection[bytes]) -> None:
        before = self._mentions
        self._mentions = {number: row for number, row in before.items() if self._digests[number] in digests}
        self._forgotten += len(before) - len(self._mentions)
        # Only now and then, the digests of forgotten manifests leave the table: that takes seconds for a million.
        if self._forgotten > len(self._mentions):
            kept = MentionCache()
            for number in self._mentions:
                kept.add(self._digests[number], self._mentions_of(number))
            self._digests, self._mentions, self._forgotten = kept._digests, kept._mentions, 0

    def _mentions_of(self, number: int) -> Mentions:
        is_known, part_count, *numbers = array("i", self._mentions[number])
        digests = [self._digests[each] for each in numbers]
        return Mentions(frozenset(digests), frozenset(digests[:part_count]), bool(is_known))
