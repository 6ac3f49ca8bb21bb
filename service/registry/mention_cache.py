"""The digests that manifests mention, read once: a manifest never changes."""

from array import array
from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

from service.domain.collection.digests import DigestTable, Marks
from service.domain.collection.mentions import Mentions

_UNREAD = -1


class MentionedNumbers(NamedTuple):
    """The mentions of a manifest, as numbers of a table of digests.

    Attributes:
        digests: all of them.
        parts: those that may be manifests themselves.
        is_known: see `Mentions`.
    """

    digests: Sequence[int]
    parts: Sequence[int]
    is_known: bool


class MentionTable:
    """The mentions of manifests. It only grows, so two collections may use it at the same time.

    Each digest takes 45 bytes, and each manifest 16 and 4 for each digest that it mentions.

    Attributes:
        digests: the table of digests, which inventories use as well.
    """

    def __init__(self) -> None:
        self.digests = DigestTable()
        # By the number of a manifest: the beginning of its row.
        self._starts = array("i")
        # Rows: is_known, the number of parts, the number of digests, and the numbers of the digests, parts first.
        self._rows = array("i")
        self._adding = Lock()

    def get(self, manifest: int) -> MentionedNumbers | None:
        """Return the mentions of the manifest of this number; None if they are not known."""
        start = self._starts[manifest] if manifest < len(self._starts) else _UNREAD
        if start == _UNREAD:
            return None
        is_known, part_count, count = self._rows[start : start + 3]
        digests = self._rows[start + 3 : start + 3 + count]
        return MentionedNumbers(digests, digests[:part_count], bool(is_known))

    def add(self, manifest: int, mentions: Mentions) -> None:
        """Remember the mentions of the manifest of this number."""
        digests = (*mentions.parts, *mentions.digests - mentions.parts)
        row = array("i", (mentions.is_known, len(mentions.parts), len(digests), *map(self.digests.add, digests)))
        with self._adding:
            start = len(self._rows)
            self._rows += row
            if manifest >= len(self._starts):
                self._starts += array("i", [_UNREAD]) * (len(self.digests) - len(self._starts))
            # Last: readers do not wait for the lock.
            self._starts[manifest] = start

    def only(self, marks: Marks) -> "MentionTable":
        """Return a new table of the manifests that have a mark. This takes seconds for a million digests."""
        table = MentionTable()
        for manifest in range(len(self._starts)):
            known = self.get(manifest) if marks.has_number(manifest) else None
            if known is not None:
                digests = [self.digests[number] for number in known.digests]
                mentions = Mentions(frozenset(digests), frozenset(digests[: len(known.parts)]), known.is_known)
                table.add(table.digests.add(self.digests[manifest]), mentions)
        return table


class MentionCache:
    """The mentions that collections of this worker have read."""

    def __init__(self) -> None:
        self._table = MentionTable()
        self._needed: Marks | None = None
        # A collection that lost its lease may still mark when another thread of this process begins the next one.
        self._lock = Lock()

    def table(self) -> MentionTable:
        """Return the table for a collection that begins.

        It is a new one if the last collection needed less than half of its digests: a table that is in use loses none.
        """
        with self._lock:
            if self._needed is not None and 2 * len(self._needed) < len(self._table.digests):
                self._table = self._table.only(self._needed)
            self._needed = None
            return self._table

    def keep_only(self, marks: Marks) -> None:
        """Note which manifests the collection needed: the next table may be without the others."""
        with self._lock:
            # A collection that lost its lease may have an earlier table.
            if marks.digests is self._table.digests:
                self._needed = marks
