"""Write links again that a collection deleted and that a manifest needs."""

from collections.abc import Collection, Iterable, Mapping

from service.collect.attempt import Attempt
from service.collect.online.marking import Marking
from service.domain.collection.online import UnlinkedBlob
from service.domain.collection.storage_inventory import unpacked
from service.domain.errors import CollectionFailed
from service.log import log
from service.registry.layout import layer_key
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_repository


def write_links(attempt: Attempt, objects: ObjectStore, links: Iterable[tuple[str, bytes]]) -> int:
    """Write these links (repository, packed digest), and return their number."""
    count = 0
    for repository, digest in links:
        attempt.lease.check()
        objects.write(layer_key(repository, unpacked(digest)), unpacked(digest).encode())
        log.info("wrote a link again: a manifest needs it", repository=repository, digest=unpacked(digest))
        count += 1
    return count


def look_again(attempt: Attempt, objects: ObjectStore, marking: Marking, blobs: Mapping[bytes, UnlinkedBlob]) -> int:
    """Restore the links that manifests need which came after the inventory, and return their number.

    The registry accepts a manifest if its links existed when it looked: a PUT that began before they were deleted ends
    with a manifest whose blobs cannot be pulled. Their data is still there, as only a later collection deletes it.

    Args:
        attempt: of the collection.
        objects: the storage.
        marking: reads the manifests.
        blobs: of the journal, by packed digest.
    """
    affected: dict[str, set[bytes]] = {}
    for blob in blobs.values():
        for name in blob.repositories:
            affected.setdefault(name, set()).add(blob.digest)
    count = 0
    for name, digests in affected.items():
        attempt.lease.check()
        needed = _needed(objects, marking, name, digests)
        missing = [digest for digest in needed if objects.head(layer_key(name, unpacked(digest))) is None]
        count += write_links(attempt, objects, ((name, digest) for digest in missing))
    return count


def _needed(objects: ObjectStore, marking: Marking, repository: str, digests: Collection[bytes]) -> set[bytes]:
    """The digests that a manifest of the repository mentions."""
    needed: set[bytes] = set()
    for manifest in read_repository(objects, repository).revisions:
        try:
            marking.read(repository, [manifest])
        except CollectionFailed as error:
            # The other manifests still need their links. The next collection refuses to run because of this manifest.
            log.warning("a manifest cannot be read", error=str(error))
            continue
        needed |= marking.everything_of(manifest) & frozenset(digests)
    return needed
