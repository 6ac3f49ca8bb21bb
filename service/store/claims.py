"""The claims of an online collection, and its journal of the blobs that it unlinked, in Redis."""

from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable
from typing import Literal

from service.domain.collection.digests import SHA256_BYTES, packed, unpacked
from service.domain.collection.online import Moment, UnlinkedBlob
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection
from service.store.keys import long, short

_AT_ONCE = 1000
_USED = " used"
_BEGUN = "?"

Purpose = Literal["unlink", "delete"]


class Claims:
    """The digests that a collection claims at the gate, and its journal. Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection, youth_ms: int) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._youth_ms = youth_ms

    def claim(self, token: str, digests: Iterable[bytes], purpose: Purpose, began_us: int) -> frozenset[bytes] | None:
        """Claim packed digests of the journal, and return those that are refused because a client uses them.

        Args:
            purpose: to unlink, a digest must not have been named within gc.youth before the inventory, or since.
            began_us: when the inventory began, by the clock of Redis.

        Returns:
            None if this holder does not have the gate any more; nothing is claimed then.
        """
        granted, *refused = self._connection.run(
            "claim",
            token=token,
            purpose=purpose,
            began_ms=began_us // 1000,
            youth_ms=self._youth_ms,
            digests=[_short(each) for each in digests],
        )
        return frozenset(packed(long(digest)) for digest in refused) if int(granted) else None

    def claim_repositories(self, token: str, names: Iterable[str], began_us: int) -> frozenset[str] | None:
        """Claim whole repositories: every request to one of them waits. Returns the names that were granted.

        Args:
            names: of repositories. One that a push was heard of within gc.youth is refused.
            began_us: when the inventory began, by the clock of Redis.

        Returns:
            None if this holder does not have the gate any more; nothing is claimed then.
        """
        members = {f"/{name}": name for name in names}
        granted, *refused = self._connection.run(
            "claim",
            token=token,
            purpose="empty",
            began_ms=began_us // 1000,
            youth_ms=self._youth_ms,
            digests=list(members),
        )
        return frozenset(name for member, name in members.items() if member not in refused) if int(granted) else None

    def release_repositories(self, names: Iterable[str]) -> None:
        """Release the claims of these repositories."""
        for page in chunks([f"/{name}" for name in names], _AT_ONCE):
            self._connection.redis.hdel(self._keys.of("gc:claimed"), *page)

    def release(self, digests: Collection[bytes]) -> None:
        """Release the claims of these digests. What was to be done under the claims must have ended."""
        if digests:
            self._connection.redis.hdel(self._keys.of("gc:claimed"), *map(_short, digests))

    def journal_id(self) -> str:
        """Return the id of the journal; "" if Redis has none."""
        return str(self._connection.redis.get(self._keys.of("gc:journal")) or "")

    def begin_journal(self, journal_id: str) -> None:
        """Begin an empty journal."""
        with self._connection.redis.pipeline() as pipe:
            pipe.delete(self._keys.of("gc:unlinked"))
            pipe.set(self._keys.of("gc:journal"), journal_id)
            pipe.execute()

    def journal(self) -> dict[bytes, UnlinkedBlob]:
        """Return the journal. Only the storage knows the sizes and repositories."""
        entries = dict(self._connection.redis.hscan_iter(self._keys.of("gc:unlinked"), count=AT_ONCE))
        return {entry.digest: entry for entry in (_entry(*item) for item in entries.items())}

    def begin(self, blobs: Iterable[UnlinkedBlob]) -> None:
        """Record blobs whose links are about to be deleted."""
        self._write(blobs, is_begun=True)

    def unlinked(self, blobs: Iterable[UnlinkedBlob]) -> None:
        """Record when the links of these blobs were deleted. A use since then is kept."""
        self._write(blobs, is_begun=False)

    def forget(self, digests: Iterable[bytes]) -> None:
        """Remove these digests from the journal."""
        for page in chunks(tuple(digests), _AT_ONCE):
            self._connection.redis.hdel(self._keys.of("gc:unlinked"), *map(_short, page))

    def _write(self, blobs: Iterable[UnlinkedBlob], *, is_begun: bool) -> None:
        for page in chunks(tuple(blobs), _AT_ONCE):
            entries = [{"digest": _short(blob.digest), "at": _spell(blob)} for blob in page]
            self._connection.run("unlinked", is_begun=is_begun, entries=entries)


def _short(digest: bytes) -> str:
    # As `short` does it, in a third of the time: a collection claims thousands of digests.
    is_sha256 = len(digest) == SHA256_BYTES
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=") if is_sha256 else short(unpacked(digest))


def _spell(blob: UnlinkedBlob) -> str:
    at = f"{blob.at.storage_us} {blob.at.redis_us}" if blob.at else _BEGUN
    return at + _USED if blob.is_used else at


def _entry(digest: str, text: str) -> UnlinkedBlob:
    at = text.removesuffix(_USED)
    moment = None if at == _BEGUN else Moment(*map(int, at.split(" ")))
    return UnlinkedBlob(packed(long(digest)), 0, (), moment, text.endswith(_USED))
