"""Give manifests back what they need and a collection deleted: their data, from quarantine, and links to their blobs.

A PUT of a manifest that began before a deletion may end after it. The registry then finds the old data or links when it
looks, accepts the manifest, and does not write them again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from service.collect.attempt import Attempt
from service.collect.online.marking import Marking
from service.domain.collection.digests import unpacked
from service.domain.collection.online import UnlinkedBlob
from service.domain.errors import CollectionFailed
from service.domain.oci.names import is_repository
from service.log import log
from service.registry.blob_quarantine import BlobQuarantine, QuarantineBatch
from service.registry.layout import blob_key, layer_key
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


class Repair:
    """The repairs of one look at the storage.

    Attributes:
        returned: the blobs that were brought back: packed digest → bytes.
    """

    def __init__(self, attempt: Attempt, objects: ObjectStore, *, is_dry: bool = False) -> None:
        """Look into the quarantine. is_dry: leave the data there, and only report what would be brought back."""
        self._attempt, self._objects, self._is_dry = attempt, objects, is_dry
        self._quarantine = BlobQuarantine(objects)
        self._batches = self._quarantine.batches()
        self._copies = frozenset[bytes]().union(*(batch.sizes for batch in self._batches))
        self.returned: dict[bytes, int] = {}

    @property
    def batches(self) -> tuple[QuarantineBatch, ...]:
        """The contents of the quarantine."""
        return self._batches

    def deleted(self) -> Mapping[bytes, Collection[str]]:
        """Map each blob that was put into quarantine to the repositories that had a link to it."""
        return self._quarantine.links(self._batches)

    def bring_back(self, digests: Iterable[bytes], has_data: Callable[[bytes], bool]) -> Mapping[bytes, int]:
        """Bring back those of these blobs that are in quarantine and have no data.

        Args:
            digests: packed.
            has_data: of a packed digest.

        Returns:
            Packed digest → bytes, of the blobs that were brought back now.
        """
        missing = [digest for digest in digests if digest in self._copies and not has_data(digest)]
        # An inventory does not show data that was pushed again in a part that was listed already.
        lost = {digest for digest in missing if not self._has_data(digest)}
        for digest in lost:
            self._attempt.lease.check()
            if self._is_dry:
                self.returned[digest] = next(batch.sizes[digest] for batch in self._batches if digest in batch.sizes)
                continue
            returned = self._quarantine.bring_back([digest], self._batches)
            self.returned.update(returned)
            log.warning("brought data back from quarantine: a manifest needs it", digest=unpacked(digest))
        return {digest: self.returned[digest] for digest in lost if digest in self.returned}

    def copy_of(self, digest: bytes) -> bytes | None:
        """The data of a blob in quarantine; None if it is not there."""
        copies = (self._objects.read(batch.key(digest)) for batch in self._batches if digest in batch.sizes)
        return next(copies, None)

    def of_repositories(
        self, repositories: Collection[str], marking: Marking, journal: Mapping[bytes, UnlinkedBlob]
    ) -> int:
        """Bring back the data of the manifests of these repositories, and write their links again.

        Args:
            repositories: that may have a manifest which came after the inventory.
            marking: reads the manifests.
            journal: the blobs whose links were deleted, by packed digest.

        Returns:
            The number of links.
        """
        places = {digest: {*names} for digest, names in self.deleted().items()}
        for digest, blob in journal.items():
            places.setdefault(digest, set()).update(blob.repositories)
        count = 0
        # No push can name a folder that no registry created.
        for name in filter(is_repository, repositories):
            self._attempt.lease.check()
            needed = self._needed(name, marking) & places.keys()
            self.bring_back(needed, self._has_data)
            linked = (digest for digest in needed if name in places[digest] and self._has_data(digest))
            missing = [digest for digest in linked if self._objects.head(layer_key(name, unpacked(digest))) is None]
            count += write_links(self._attempt, self._objects, ((name, digest) for digest in missing))
        return count

    def _needed(self, repository: str, marking: Marking) -> set[bytes]:
        """The digests that a manifest of the repository mentions."""
        needed: set[bytes] = set()
        revisions = read_repository(self._objects, repository).revisions
        self.bring_back(revisions, self._has_data)
        for manifest in revisions:
            try:
                marking.read(repository, [manifest])
            except CollectionFailed as error:
                # The other manifests still need repair. The next collection refuses to run because of this manifest.
                log.warning("a manifest cannot be read", error=str(error))
                continue
            needed |= marking.everything_of(manifest)
        return needed

    def _has_data(self, digest: bytes) -> bool:
        return self._objects.head(blob_key(unpacked(digest))) is not None
