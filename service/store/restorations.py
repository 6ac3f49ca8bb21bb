"""Notes deletions that were undone."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.oci.manifest import References
from service.store.connection import Connection
from service.store.keys import short
from service.store.limits import Limits
from service.store.outbox import LOOK_AGAIN_MS, RESEND_MS
from service.store.packing import pack_links


@dataclass(frozen=True, slots=True)
class Restored:
    """One manifest that is back. tag: "" where it has none; pushed_us: its original push, 0 when nobody saw it.

    references: what an index or a referrer holds; None for an image. pushed_by, by: who pushed it, who restored it.
    """

    tag: str
    digest: str
    pushed_us: int
    size_bytes: int
    references: References | None
    pushed_by: str
    by: str
    reason: str


class Restorations:
    """Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits, look_again_ms: int = LOOK_AGAIN_MS) -> None:
        """look_again_ms: how long a DELETE of ours can be on its way."""
        self._connection = connection
        self._keys = connection.keys
        self._limits = limits
        self._look_again_ms = look_again_ms

    def lease(self, repository: str, digests: Sequence[str], life_s: int) -> int:
        """Has none of these deleted for so long, unless it is leased for longer; returns until when (µs)."""
        until_ms = self._connection.now_ms() + life_s * 1000
        with self._connection.reached() as client:
            client.zadd(self._keys.restored(repository), dict.fromkeys(digests, until_ms), gt=True)
        return until_ms * 1000

    def restored(self, repository: str, one: Restored, before: str, since_us: int) -> bool:
        """Notes that a manifest is back; False when its tag was pushed meanwhile: that push wins, and is put back.

        before: the tag's time as `standing` told it when the undo began. since_us: when
        that was: what happened to the tag before, and is heard later, is over.
        """
        links = pack_links(one.references) if one.references else ""
        args: list[str | int] = [repository, one.tag, one.digest, short(one.digest), one.size_bytes, one.pushed_us]
        args += [one.pushed_by, links, self._limits.repository_entries, self._limits.events, RESEND_MS]
        args += [self._look_again_ms, one.by, one.reason, before, since_us]
        args += [
            form for child in (one.references.children if one.references else ()) for form in (child, short(child))
        ]
        return bool(self._connection.run("restore", args, repository))

    def now_us(self) -> int:
        """The store's clock (µs)."""
        return self._connection.now_us()

    def standing(self, repository: str, tag: str) -> str:
        """The time of the tag's last push (µs) as text, "" for one that is not live."""
        with self._connection.reached() as client:
            at_us = client.zscore(self._keys.tags(repository), tag) if tag else None
        return "" if at_us is None else f"{at_us:.0f}"
