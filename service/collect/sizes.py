"""How large the blobs are that a collection sweeps: as they lie on the disk, else as deleted manifests say."""

from collections.abc import Iterable, Mapping

from service.domain.oci.manifest import UnreadableManifest, read_references
from service.wiring import Wiring

Sizes = Mapping[str, int | None]


def sizes_of(wiring: Wiring, eligible: Iterable[str]) -> Sizes:
    """Each of these blobs → its size in bytes; None where neither the disk nor the trash knows it."""
    blobs = dict.fromkeys(eligible)
    if wiring.storage is not None:
        return {digest: wiring.storage.blob_size(digest) for digest in blobs}
    known: dict[str, int] = {}
    for _, kept in wiring.trash.manifests() if blobs else ():
        known[kept.digest] = len(kept.content)
        try:
            known.update(read_references(kept.media_type, kept.content).blobs)
        except UnreadableManifest:
            continue
    return {digest: known.get(digest) for digest in blobs}


def freed(wiring: Wiring, before: Sizes, swept: Iterable[str]) -> Sizes:
    """Of what was said to be swept: what is gone from the disk where that can be seen. before: the sizes it had."""
    storage = wiring.storage
    gone = (digest for digest in swept if storage is None or storage.blob_size(digest) is None)
    return {digest: before.get(digest) for digest in gone}


def unknown(sizes: Sizes) -> int:
    """Of how many blobs the size is not known."""
    return sum(size is None for size in sizes.values())
