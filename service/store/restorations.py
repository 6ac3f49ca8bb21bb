"""The record of restored deletions."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.oci.manifest import References
from service.store.connection import Connection
from service.store.keys import short
from service.store.limits import Limits
from service.store.outbox import LOOK_AGAIN_MS, RESEND_MS
from service.store.packing import pack_links


@dataclass(frozen=True, slots=True)
class RestoredManifest:
    """One restored manifest.

    Attributes:
        tag: "" if the manifest has none.
        pushed_us: its original push, 0 if that was not seen.
        references: the references of an index or a referrer; None for an image.
        pushed_by: the user who pushed the manifest.
        by: the user who restored the manifest.
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
    """Restored manifests in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits, look_again_ms: int = LOOK_AGAIN_MS) -> None:
        """Create the record. look_again_ms: how long one of pushprune's DELETEs can be on its way."""
        self._connection = connection
        self._keys = connection.keys
        self._limits = limits
        self._look_again_ms = look_again_ms

    def lease(self, repository: str, digests: Sequence[str], life_s: int) -> int:
        """Protect these digests from deletion for `life_s`, or longer if they already are; return until when (µs)."""
        until_ms = self._connection.now_ms() + life_s * 1000
        key = self._keys.of("restored", repository)
        with self._connection.redis.pipeline() as pipe:
            for digest in digests:
                # Each restore moves the end: a manual deletion whose preview is older must not end this protection.
                pipe.zincrby(key, 1, digest)
            # GT: a longer protection must not be shortened.
            pipe.zadd(key, dict.fromkeys(digests, until_ms), gt=True)
            pipe.execute()
        return until_ms * 1000

    def restored(self, repository: str, manifest: RestoredManifest, before: str, since_us: int) -> bool:
        """Record that a manifest was restored.

        Args:
            before: the tag's time as `pushed_at` returned it when the restore began.
            since_us: when the restore began. Older requests and older events of the tag are ignored.

        Returns:
            False if the tag was pushed meanwhile: that push wins, and healing restores it.
        """
        links = pack_links(manifest.references) if manifest.references else ""
        children = manifest.references.children if manifest.references else ()
        is_noted = self._connection.run(
            "restore",
            repository,
            **self._limits.of_history,
            tag=manifest.tag,
            digest=manifest.digest,
            short=short(manifest.digest),
            size=manifest.size_bytes,
            pushed_us=manifest.pushed_us,
            pushed_by=manifest.pushed_by,
            links=links,
            resend_ms=RESEND_MS,
            again_ms=self._look_again_ms,
            by=manifest.by,
            reason=manifest.reason,
            before=before,
            since_us=since_us,
            parts=[{"digest": child, "short": short(child)} for child in children],
        )
        return bool(is_noted)

    def now_us(self) -> int:
        """Return the time of the Redis server (µs)."""
        return self._connection.now_us()

    def pushed_at(self, repository: str, tag: str) -> str:
        """Return the time of the tag's last push (µs) as text, "" if the tag is not live."""
        at_us = self._connection.redis.zscore(self._keys.of("tags", repository), tag) if tag else None
        return "" if at_us is None else f"{at_us:.0f}"
