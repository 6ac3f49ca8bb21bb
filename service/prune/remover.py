"""Remove images through the registry's API or in its storage (`delete.via`)."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Lock

from service.domain.oci.manifest import INDEX_TYPES
from service.log import log
from service.prune.still_listed import still_listed
from service.reconcile.push_times import sight
from service.registry import Registry
from service.registry.deletion import DeletionBatch
from service.registry.manifest import ManifestHead
from service.store import Store
from service.store.lease import Lease
from service.store.snapshot import Snapshot

SERVED = "served"


class Remover:
    """Remove manifests and tags of one batch in one repository.

    Every method raises LeaseLost before it writes if the right to write is lost, and the errors of a DELETE.

    Attributes:
        exact: see `DeletionBatch.exact`.
        storage: the storage in which tags are rechecked; None to recheck at the registry.
    """

    def __init__(self, store: Store, registry: Registry, repository: str, permit: Lease, batch: DeletionBatch) -> None:
        self._store, self._registry, self._batch = store, registry, batch
        self._repository, self._permit = repository, permit
        self.exact, self.storage = batch.exact, batch.storage
        self._deleted: str | None = None
        self._listing = Lock()

    def write(self, call: Callable[[], object]) -> None:
        """Make one write while the right to write is held."""
        with self._permit.writing():
            call()

    def delete(self, digest: str, tags: Collection[str] | None = None) -> None:
        """Delete a manifest.

        Args:
            tags: the known tags that point at the digest. Over the API, all tags of the digest are deleted.
        """
        self.write(lambda: self._batch.delete(digest, tags))
        self._deleted = digest

    def untag(self, tag: str, expected: Collection[str]) -> None:
        """Delete a tag alone, while it points at one of these digests, see `DeletionBatch.untag`."""
        self.write(lambda: self._batch.untag(tag, expected))

    def still_listed(self, snapshot: Snapshot, deleted: Collection[str]) -> frozenset[str]:
        """Return those of these deleted tags that the registry still lists, see `still_listed`."""
        if self.exact:
            return frozenset()
        with self._listing:
            return still_listed(self._store, self._registry, snapshot, deleted, self.write)

    def end(self) -> None:
        """End the batch: have tags healed that were pushed meanwhile.

        If the right to write is lost, the next batch does it.
        """
        pushed = self._batch.close() if self._permit.valid else ()
        if pushed:
            log.info("pushed while it was removed", repository=self._repository, tags=pushed)
            self._store.deletions.request_healing(self._repository, pushed)
            self._adopt(pushed)

    def _adopt(self, tags: Collection[str]) -> None:
        """Record pushes that happened during the removal: their notifications may be lost."""
        snapshot, sightings, indexes = self._store.history.snapshot(self._repository), [], set()
        before = {tag.name: tag for tag in snapshot.tags}
        for name in tags:
            manifest = self._batch.manifest_of(name)
            if manifest is None or (name in before and before[name].digest == manifest.digest):
                continue
            standing = ManifestHead(manifest.digest, manifest.media_type, len(manifest.content))
            sightings.append(sight(self._registry, snapshot, name, standing, before.get(name)))
            indexes |= {manifest.digest} if manifest.media_type in INDEX_TYPES else set()
        if sightings:
            self._store.history.adopt(snapshot, sightings, indexes=frozenset(indexes))

    def look_again(self) -> None:
        """Check that the registry no longer serves a manifest that was deleted; if it does, alert the operator."""
        if self._deleted is None:
            return
        if not self._batch.is_still_served(self._deleted):
            self._store.outbox.end_trouble(SERVED)
            return
        self._store.outbox.note_trouble(
            SERVED,
            f"the registry still serves {self._repository}@{self._deleted}, which was deleted from its storage: a "
            "cache remembers its answers. Switch that cache off, or set delete.via: api",
        )


@contextmanager
def removing(store: Store, registry: Registry, repository: str, permit: Lease) -> Iterator[Remover]:
    """Provide the remover of one batch, and end the batch afterwards.

    Raises:
        RegistryRefused: `delete.via` is the storage, and the storage is not proved to be the registry's.
    """
    remover = Remover(store, registry, repository, permit, registry.deletion.open(repository))
    try:
        yield remover
    finally:
        remover.end()
    remover.look_again()
