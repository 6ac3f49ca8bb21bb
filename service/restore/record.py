"""Record restores from a folder in Redis, so that the service takes no restored tag for a push."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.errors import NotRestorable
from service.domain.oci.manifest import INDEX_TYPES, references_of
from service.registry.manifest import Manifest
from service.restore.restoring import LEASE_S, write_permit
from service.store import Store
from service.store.lease import Lease
from service.store.restorations import RestoredManifest


class RestoreRecord:
    """The record of restores in one registry. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, store: Store, by: str) -> None:
        """Create the record. by: the user who restores, for the history."""
        self._store, self._by = store, by
        self._since_us = store.restorations.now_us()
        self._permit: Lease

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Keep garbage collections out for the block. Raises NotRestorable while a collection runs."""
        with write_permit(self._store) as self._permit:
            yield

    def keep(self, repository: str, digest: str) -> None:
        """Protect a manifest from the policy for a day, before it is pushed.

        Raises LeaseLost if a collection may have begun.
        """
        self._permit.check()
        self._store.restorations.lease(repository, (digest,), LEASE_S)

    @contextmanager
    def restoring(self, repository: str, tag: str, manifest: Manifest) -> Iterator[None]:
        """Record that the block puts a manifest under a tag, or ("") that the manifest without a tag is restored.

        The folder does not know the push time of the tag: it counts by the creation date of its image.

        Raises:
            NotRestorable: the tag was pushed meanwhile, and that push is kept.
        """
        before = self._store.restorations.pushed_at(repository, tag)
        self.keep(repository, manifest.digest)
        if tag:
            # Recorded before the PUT, so that its event is not taken for a push by a user.
            self._store.deletions.note_own_put(repository, tag, manifest.digest)
        yield
        references = references_of(manifest.media_type, manifest.content)
        is_plain = not references.readable or not (manifest.media_type in INDEX_TYPES or references.subject)
        restored = RestoredManifest(
            tag, manifest.digest, 0, references.size_bytes, None if is_plain else references, "", self._by,
            "restored from a folder",
        )  # fmt: skip
        if not self._store.restorations.restored(repository, restored, before, self._since_us):
            raise NotRestorable(f"{repository}:{tag} was pushed at this moment, and that push is kept")
