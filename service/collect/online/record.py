"""Record the garbage of the storage: which repositories had it, and how old it is."""

from collections.abc import Iterator, Mapping

from service.clock import now_ms
from service.collect.attempt import Attempt
from service.collect.online.survey import Survey
from service.domain.collection.digests import SHA256_BYTES, is_packable, packed
from service.domain.collection.garbage import Garbage, GarbageStage, by_age, by_repository
from service.domain.collection.leftovers import Leftover
from service.domain.collection.online import UnlinkedBlob
from service.domain.collection.storage_inventory import StorageInventory
from service.registry.blob_quarantine import QuarantineBatch
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_inventory


def record_garbage(
    attempt: Attempt,
    survey: Survey,
    blobs: Mapping[bytes, UnlinkedBlob],
    batches: tuple[QuarantineBatch, ...],
    leftovers: tuple[Leftover, ...],
) -> None:
    """Record the garbage of this moment.

    Args:
        attempt: of the collection or dry run.
        survey: of the storage.
        blobs: that are unlinked, or will be by the next collection, by packed digest.
        batches: the contents of the quarantine.
        leftovers: that are not deleted.
    """
    blobs = {digest: blob for digest, blob in blobs.items() if digest not in survey.marking.marks}
    young_us = survey.began.storage_us - attempt.gc.youth * 1_000_000
    garbage = Garbage(
        now_ms(),
        by_repository((blob.size_bytes, blob.repositories) for blob in blobs.values()),
        by_age((*_listed(blobs), *_young(survey, blobs, young_us), *_quarantined(batches))),
        leftovers,
    )
    attempt.store.garbage.note(garbage)


def record_restorable(
    attempt: Attempt, blobs: Mapping[bytes, UnlinkedBlob], batches: tuple[QuarantineBatch, ...]
) -> None:
    """Record the stages of the images of the trash whose blobs are unlinked or in quarantine."""
    needs = {(name, digest): needed for name, digest, needed in attempt.store.trash.blobs()}
    parts = {digest: needed for (_, digest), needed in needs.items()}

    def ends_ms(stage: tuple[GarbageStage, int]) -> int:
        return stage[1] + (attempt.gc.grace * 1000 if stage[0] is GarbageStage.UNLINKED else 0)

    images: dict[tuple[str, str], tuple[GarbageStage, int]] = {}
    for image, needed in needs.items():
        # An index needs what its parts need.
        digests = {image[1], *needed, *(digest for part in needed for digest in parts.get(part, ()))}
        stages = (_stage(packed(digest), blobs, batches) for digest in digests if is_packable(digest))
        if begun := [stage for stage in stages if stage is not None]:
            images[image] = min(begun, key=ends_ms)
    attempt.store.garbage.note_restorable(images)


def _stage(
    digest: bytes, blobs: Mapping[bytes, UnlinkedBlob], batches: tuple[QuarantineBatch, ...]
) -> tuple[GarbageStage, int] | None:
    """The stage of a blob and its beginning (ms); None if the blob is neither unlinked nor in quarantine."""
    for batch in reversed(batches):
        if digest in batch.sizes:
            return GarbageStage.QUARANTINED, batch.at.redis_us // 1000
    blob = blobs.get(digest)
    if blob is None or blob.at is None or blob.is_used:
        return None
    return GarbageStage.UNLINKED, blob.at.redis_us // 1000


def record_repositories(attempt: Attempt, objects: ObjectStore, sizes: Mapping[str, int | None]) -> None:
    """Record the repositories of the blobs that the registry's own collector would delete.

    Args:
        attempt: of the dry run.
        objects: the storage.
        sizes: of the blobs, by digest.
    """
    inventory = read_inventory(objects, lambda _: attempt.lease.check())
    blobs = {packed(digest): size or 0 for digest, size in sizes.items() if is_packable(digest)}
    shares = by_repository((size, _repositories(inventory, digest)) for digest, size in blobs.items())
    attempt.store.garbage.note(Garbage(now_ms(), shares))


def _repositories(inventory: StorageInventory, digest: bytes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(link.repository for link in inventory.layer_links(digest)))


def _listed(blobs: Mapping[bytes, UnlinkedBlob]) -> Iterator[tuple[GarbageStage, int | None, int]]:
    for blob in blobs.values():
        if blob.at is None or blob.is_used:
            yield GarbageStage.UNUSED, None, blob.size_bytes
        else:
            yield GarbageStage.UNLINKED, blob.at.redis_us // 1000, blob.size_bytes


def _young(
    survey: Survey, blobs: Mapping[bytes, UnlinkedBlob], young_us: int
) -> Iterator[tuple[GarbageStage, int | None, int]]:
    for blob in survey.inventory.blobs(besides=survey.marking.marks):
        if len(blob.digest) != SHA256_BYTES or blob.digest in blobs:
            continue
        times_us = (link.modified_us for link in survey.inventory.layer_links(blob.digest))
        # What the collection has just deleted is old.
        if (latest_us := max(blob.modified_us, *times_us, 0)) >= young_us:
            yield GarbageStage.YOUNG, latest_us // 1000, blob.size_bytes


def _quarantined(batches: tuple[QuarantineBatch, ...]) -> Iterator[tuple[GarbageStage, int | None, int]]:
    for batch in batches:
        for size_bytes in batch.sizes.values():
            yield GarbageStage.QUARANTINED, batch.at.redis_us // 1000, size_bytes
