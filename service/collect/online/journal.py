"""The journal of the blobs that online collections unlinked, in the storage and in Redis."""

import json
from collections.abc import Collection, Iterable, Mapping
from io import BytesIO
from itertools import chain, islice
from typing import Any

from service.domain.collection.online import Moment, OnlinePlan, UnlinkedBlob, merged
from service.log import log
from service.registry.layout import OURS
from service.registry.objects import ObjectStore
from service.store.claims import Claims
from service.store.connection import new_token

JOURNAL = f"{OURS}/collection/journal"
_A_LINE = 1000


class Journal:
    """The journal, which is written in both places before anything is deleted.

    An entry is written to Redis first and removed from Redis last, so that a difference which an interrupted run leaves
    can be told from a Redis that lost its data.

    Attributes:
        blobs: the entries by packed digest.
    """

    def __init__(self, objects: ObjectStore, claims: Claims) -> None:
        self._objects, self._claims = objects, claims
        self._id = ""
        self.blobs: dict[bytes, UnlinkedBlob] = {}

    def read(self) -> dict[bytes, UnlinkedBlob]:
        """Return the entries, and change nothing; none if Redis or the storage lost the journal."""
        content, journal_id = self._objects.read(JOURNAL), self._claims.journal_id()
        if content is None or not journal_id:
            return {}
        stored_id, stored = _parsed(content)
        return merged(self._claims.journal(), stored) or {} if stored_id == journal_id else {}

    def load(self) -> bool:
        """Read the journal. Returns False if Redis or the storage lost it: the grace of all blobs begins anew."""
        content, self._id = self._objects.read(JOURNAL), self._claims.journal_id()
        if content is None and not self._id:
            self._begin_anew({})
            return True
        stored_id, stored = _parsed(content)
        known = self._claims.journal()
        journal = merged(known, stored) if self._id == stored_id else None
        if journal is None:
            self._begin_anew(
                {digest: UnlinkedBlob(digest, e.size_bytes, e.repositories) for digest, e in stored.items()}
            )
            return False
        self.blobs = journal
        self._claims.forget(known.keys() - journal.keys())
        return True

    def begin(self, plan: OnlinePlan) -> None:
        """Write the entries of a plan, before anything is deleted by it."""
        blobs = {blob.digest: blob for blob in (*plan.waiting, *plan.delete, *plan.unlink, *plan.stale)}
        changed = [blob for digest, blob in blobs.items() if blob != self.blobs.get(digest)]
        dropped = self.blobs.keys() - blobs.keys()
        if changed or dropped:
            self._claims.begin(blob for blob in changed if blob.at is None)
            self._claims.unlinked(blob for blob in changed if blob.at is not None)
            self.blobs = blobs
            self._write()
            self._claims.forget(dropped)

    def note_unlinked(self, blobs: Collection[UnlinkedBlob]) -> None:
        """Record in Redis when the links of these blobs were deleted; `save` records it in the storage."""
        self._claims.unlinked(blobs)
        self.blobs.update({blob.digest: blob for blob in blobs})

    def save(self, deleted: Iterable[bytes]) -> None:
        """Write the journal to the storage, without the blobs whose data was deleted."""
        for digest in (dropped := list(deleted)):
            self.blobs.pop(digest, None)
        self._write()
        self._claims.forget(dropped)

    def _begin_anew(self, blobs: dict[bytes, UnlinkedBlob]) -> None:
        self._id, self.blobs = new_token(), blobs
        self._claims.begin_journal(self._id)
        self._claims.begin(blobs.values())
        self._write()

    def _write(self) -> None:
        # Many entries per line take half the time of one entry per line. All in one line would take twice the memory.
        content, rows = bytearray(json.dumps({"version": 1, "id": self._id}).encode()), map(_row, self.blobs.values())
        while line := list(islice(rows, _A_LINE)):
            content += b"\n" + json.dumps(line).encode()
        self._objects.write(JOURNAL, content)


def _row(blob: UnlinkedBlob) -> list[object]:
    at = [blob.at.storage_us, blob.at.redis_us] if blob.at else None
    return [blob.digest.hex(), blob.size_bytes, at, list(blob.repositories), blob.may_be_manifest]


def _parsed(content: bytes | None) -> tuple[str, Mapping[bytes, UnlinkedBlob]]:
    """Return the id and the entries of a journal. An unreadable journal has neither."""
    lines = map(json.loads, BytesIO(content or b""))
    try:
        head: Any = next(lines, None)
        entries = (
            UnlinkedBlob(
                bytes.fromhex(digest),
                int(size),
                tuple(map(str, names)),
                Moment(*at) if at else None,
                # An earlier version did not write it.
                may_be_manifest=may_be_manifest != [False],
            )
            for digest, size, at, names, *may_be_manifest in chain.from_iterable(lines)
        )
        return str(head["id"]), {entry.digest: entry for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        log.warning(
            "the journal of unlinked blobs cannot be read; the grace of all blobs begins anew", error=str(error)
        )
        return "", {}
