"""Prepare the deletion of links and data, before any request waits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.collect.attempt import Attempt
from service.collect.online import prove
from service.domain.collection.digests import unpacked
from service.domain.collection.mentions import LONGEST_MANIFEST, begins_as_manifest, may_be_manifest
from service.domain.collection.online import Moment, UnlinkedBlob
from service.domain.collection.run import BlobProbe
from service.domain.errors import StaleCache
from service.registry.blob_quarantine import BlobQuarantine, QuarantineBatch
from service.registry.layout import blob_key, layer_key
from service.registry.objects import PAGE, ObjectStore
from service.store.chunks import chunks

_PROBES = 3
# Enough for nearly all configs: those of images are a few kB.
_START_BYTES = 64 * 1024
# Bounds the memory for reads that wait.
_READ = 10_000
# A batch that was begun longer ago than this is begun again before its data is moved.
FRESH_S = 60
_FRESH_US = FRESH_S * 1_000_000


@dataclass(frozen=True, slots=True)
class BlobPage:
    """Blobs that are deleted together, 1,000 at most.

    batch: the batch of the quarantine to which their data is moved; None: the data is deleted for good.
    """

    blobs: Sequence[UnlinkedBlob]
    batch: QuarantineBatch | None = None


class Preparation:
    """The preparation of deletions in one attempt."""

    def __init__(self, attempt: Attempt, objects: ObjectStore) -> None:
        self._attempt, self._objects, self._quarantine = attempt, objects, BlobQuarantine(objects)

    def classified(self, blobs: Sequence[UnlinkedBlob]) -> Iterator[UnlinkedBlob]:
        """Yield the blobs to unlink. A blob whose data cannot be a manifest has may_be_manifest=False.

        What is stored under a digest never changes, so the journal keeps the answer for the run that deletes.
        """
        for page in chunks(blobs, _READ):
            self._attempt.lease.check()
            suspects = self._suspects(page)
            for blob in page:
                yield blob if blob.digest in suspects else blob._replace(may_be_manifest=False)

    def prepare(self, blobs: Sequence[UnlinkedBlob]) -> tuple[list[BlobPage], list[BlobPage]]:
        """Prepare the deletion of these blobs.

        Returns:
            The pages of configs and layers, and the pages of blobs that a client could push as a manifest.

        Raises:
            StaleCache: the registry still knows a link that was deleted.
        """
        self._refuse_cache(blobs)
        batch = self._begin(blobs) if self._attempt.gc.quarantine else None
        manifests = [blob for blob in blobs if blob.may_be_manifest]
        layers = [blob for blob in blobs if not blob.may_be_manifest]
        kept = batch or self._begin(manifests)
        return (
            [BlobPage(page, batch) for page in chunks(layers, PAGE)],
            [BlobPage(page, kept) for page in chunks(manifests, PAGE)],
        )

    def fresh(self, pages: Sequence[BlobPage]) -> list[BlobPage]:
        """Begin old batches anew, because the time in quarantine counts from the beginning of a batch."""
        began = [page.batch.at for page in pages if page.batch]
        # Redis first: the clock of a bucket takes two requests.
        redis_us = self._attempt.store.connection.now_us()
        if not any(redis_us - at.redis_us >= _FRESH_US for at in began):
            return list(pages)
        at, fresh = now(self._attempt, self._objects), list[BlobPage]()
        for page in pages:
            if page.batch and at.is_after(page.batch.at, _FRESH_US):
                self._quarantine.leave(page.batch, [blob.digest for blob in page.blobs])
                # Each new batch begins at a moment of its own, because the moment names its folder.
                fresh.append(BlobPage(page.blobs, self._begin(page.blobs)))
            else:
                fresh.append(page)
        return fresh

    def _begin(self, blobs: Sequence[UnlinkedBlob]) -> QuarantineBatch | None:
        return self._quarantine.begin(blobs, now(self._attempt, self._objects)) if blobs else None

    def _suspects(self, blobs: Sequence[UnlinkedBlob]) -> frozenset[bytes]:
        """The packed digests of those blobs that a registry could accept as a manifest."""
        small = [blob for blob in blobs if blob.may_be_manifest and 0 < blob.size_bytes <= LONGEST_MANIFEST]
        # A manifest's own blob never has a link.
        linked = [blob for blob in small if blob.repositories]
        answers = self._objects.each(self._may_be_manifest, linked)
        return frozenset(blob.digest for blob in small if not blob.repositories).union(
            blob.digest for blob, is_suspect in zip(linked, answers, strict=True) if is_suspect
        )

    def _may_be_manifest(self, blob: UnlinkedBlob) -> bool:
        key = blob_key(unpacked(blob.digest))
        content = self._objects.read_start(key, min(blob.size_bytes, _START_BYTES))
        if content and len(content) < blob.size_bytes and begins_as_manifest(content):
            content = self._objects.read(key)
        return content is None or may_be_manifest(content)

    def _refuse_cache(self, blobs: Sequence[UnlinkedBlob]) -> None:
        probes = [BlobProbe(name, unpacked(blob.digest)) for blob in blobs for name in blob.repositories[:1]][:_PROBES]
        probe = prove.still_known(self._attempt, probes)
        # A push may have written the link again. The claim of its blob is then refused later.
        if probe and self._objects.head(layer_key(probe.repository, probe.digest)) is None:
            raise StaleCache(
                f"the registry has {probe}, whose link does not exist in the storage: it has a cache of blobs. "
                "Nothing was deleted; remove storage.cache from its config.yml and restart it, or set "
                "gc.collector: registry"
            )


def now(attempt: Attempt, objects: ObjectStore) -> Moment:
    """Return the current time by the clock of the storage and by that of Redis."""
    return Moment(objects.now_us(), attempt.store.connection.now_us())
