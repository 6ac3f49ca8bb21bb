"""The sizes of the blobs that a collection deletes: from the mounted storage, else from deleted manifests."""

from collections.abc import Iterable, Mapping

from service.domain.oci.manifest import references_of
from service.registry import Registry
from service.store import Store

Sizes = Mapping[str, int | None]


def sizes_of(store: Store, registry: Registry, eligible: Iterable[str]) -> Sizes:
    """Map each blob to its size in bytes; None if neither the storage nor the trash knows it."""
    blobs = dict.fromkeys(eligible)
    if registry.storage is not None:
        return registry.storage.blob_sizes(blobs)
    known: dict[str, int] = {}
    for _, kept in store.trash.manifests() if blobs else ():
        known[kept.digest] = len(kept.content)
        known.update(references_of(kept.media_type, kept.content).blobs)
    return {digest: known.get(digest) for digest in blobs}


def freed(registry: Registry, before: Sizes, swept: Iterable[str]) -> Sizes:
    """The sizes of the blobs that were deleted.

    If the storage is mounted, only the blobs that do not exist any more; else all that the collector reported.

    Args:
        before: the sizes before the sweep.
        swept: the digests that the collector reported as deleted.
    """
    deleted = list(swept)
    if registry.storage is not None:
        deleted = [digest for digest, size in registry.storage.blob_sizes(deleted).items() if size is None]
    return {digest: before.get(digest) for digest in deleted}


def unknown(sizes: Sizes) -> int:
    """The number of blobs whose size is not known."""
    return sum(size is None for size in sizes.values())
