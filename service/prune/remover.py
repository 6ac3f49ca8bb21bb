"""Remove images through the registry's API or in its storage (`delete.via`)."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Lock

from service.domain.oci.manifest import INDEX_TYPES
from service.log import log
from service.prune.still_listed import still_listed
from service.reconcile.push_times import sight
from service.registry import Registry
from service.registry.disk import Links
from service.registry.manifest import ManifestHead
from service.registry.storage import Storage
from service.store import Store
from service.store.lease import Lease
from service.store.snapshot import Snapshot

SERVED = "served"


class Remover:
    """Remove manifests and tags of one batch in one repository.

    Every method raises LeaseLost before it writes if the right to write is lost, and the errors of a DELETE.

    Attributes:
        links: the links in the storage, proved to be the registry's; None to delete over the API.
    """

    def __init__(self, store: Store, registry: Registry, repository: str, permit: Lease, links: Links | None) -> None:
        self.links, self._store, self._registry, self._repository, self._permit = (
            links,
            store,
            registry,
            repository,
            permit,
        )
        self._deleted: str | None = None
        self._listing = Lock()

    @property
    def disk(self) -> Storage | None:
        """The storage in which tags are rechecked; None to recheck at the registry."""
        return self.links.storage if self.links else None

    def write(self, call: Callable[[], object]) -> None:
        """Make one write while the right to write is held."""
        with self._permit.writing():
            call()

    def delete(self, digest: str, tags: Collection[str] | None = None) -> None:
        """Delete a manifest.

        Args:
            tags: the known tags that point at the digest. Over the API, all tags of the digest are deleted.
        """
        links = self.links
        if links is None:
            self.write(lambda: self._registry.client.delete(self._repository, digest))
            return
        self.write(lambda: links.delete(digest, tags))
        self._deleted = digest

    def still_listed(self, snapshot: Snapshot, deleted: Collection[str]) -> frozenset[str]:
        """Return those of these deleted tags that the registry still lists, see `still_listed`."""
        if self.links:
            return frozenset()
        with self._listing:
            return still_listed(self._store, self._registry, snapshot, deleted, self.write)

    def take_off(self, tag: str, stood: Collection[str]) -> None:
        """Remove a tag alone, in the storage, while it points at one of these digests."""
        links = self.links
        assert links is not None  # noqa: S101 - over the API a tag is taken off in another way
        self.write(lambda: links.take_off(tag, stood))

    def end(self) -> None:
        """End a batch in the storage: have tags healed that were pushed meanwhile.

        If the right to write is lost, the next batch does it.
        """
        if self.links is None or not self._permit.valid:
            return
        pushed = self.links.close()
        if pushed:
            log.info("pushed while it was removed", repository=self._repository, tags=pushed)
            self._store.deletions.request_healing(self._repository, pushed)
            self._adopt(pushed)

    def _adopt(self, tags: Collection[str]) -> None:
        """Record pushes that happened during the removal: their notifications may be lost."""
        assert self.disk is not None  # noqa: S101 - only there anything is met
        snapshot, sightings, indexes = self._store.history.snapshot(self._repository), [], set()
        before = {tag.name: tag for tag in snapshot.tags}
        for name in tags:
            manifest = self.disk.manifest(self._repository, self.disk.standing(self._repository, name) or "")
            if manifest is None or (name in before and before[name].digest == manifest.digest):
                continue
            standing = ManifestHead(manifest.digest, manifest.media_type, len(manifest.content))
            sightings.append(sight(self._registry, snapshot, name, standing, before.get(name)))
            indexes |= {manifest.digest} if manifest.media_type in INDEX_TYPES else set()
        if sightings:
            self._store.history.adopt(snapshot, sightings, indexes=frozenset(indexes))

    def look_again(self) -> None:
        """Check that the registry no longer serves a manifest removed from its storage; if it does, alert the operator.

        Distribution 2.8.3 passes, with a blob-descriptor cache as well (measured): manifests are not looked up there.
        """
        digest = self._deleted
        if self.links is None or digest is None:
            return
        served = self._registry.client.head(self._repository, digest)
        if served is None or self.links.storage.revision(self._repository, digest).exists():
            self._store.outbox.end_trouble(SERVED)
            return
        self._store.outbox.note_trouble(
            SERVED,
            f"the registry goes on serving {self._repository}@{digest}, which was removed from its storage: something "
            "remembers its answers; switch that cache off, or set delete.via: api",
        )


@contextmanager
def removing(store: Store, registry: Registry, repository: str, permit: Lease) -> Iterator[Remover]:
    """Provide the remover of one batch, and end the batch afterwards.

    Raises:
        RegistryRefused: `delete.via` is the storage, and the storage is not proved to be the registry's.
    """
    links = registry.disk.prove(repository) if registry.disk else None
    remover = Remover(store, registry, repository, permit, links)
    try:
        yield remover
    finally:
        remover.end()
    remover.look_again()
