"""The registry from outside: HTTP client, storage, collector, debug server.

client.py      the calls of the API; transport.py sends them, pages.py reads listings, answers.py translates errors
session.py     HTTP itself: connections.py keeps connections, response.py reads answers, exchange.py has the values
auth.py        logins; tokens.py keeps bearer tokens, docker_config.py reads ~/.docker/config.json
deletion.py    the protocol of a deletion, and the one over the API; disk.py is the one in the mounted storage,
               bucket_deletion.py the one in a bucket
storage.py     the registry's files: tags, manifests, blobs; bucket_storage.py the same in a bucket; quarantine.py
               and uploads.py other folders of it
objects.py     the storage as objects, in a bucket or on disk; bucket.py opens it by its URL, conditional.py deletes
               what did not change, layout.py has the keys, storage_inventory.py reads what is there, blob_quarantine.py
               keeps deleted data for a while
collector.py   `registry garbage-collect` as a child process; restart.py, integrity.py before and after it
debug.py       the debug server; probe.py and listing.py test what a registry can do
v1.py          version 1 of the API (before 2015)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.domain.collection.digests import packed
from service.domain.errors import ConfigurationError, StorageRefused, StorageUnavailable
from service.registry.deletion import ApiDeletion, ManifestDeletion
from service.registry.layout import blob_key, layer_key
from service.registry.mention_cache import MentionCache
from service.registry.storage import ReadableStorage

if TYPE_CHECKING:
    # Only for their types. Every import from this package runs this file, also before the first request of a verb.
    from service.registry.client import RegistryClient
    from service.registry.collector import Collector
    from service.registry.debug import DebugServer

    # The extra `storage` may not be installed.
    from service.registry.objects import ObjectStore


@dataclass(frozen=True)
class Registry:
    """The ways to the registry. None: not configured.

    Attributes:
        optional_client: the HTTP client; None if `registry.url` is not set.
        storage: the registry's storage, if it is mounted or its bucket is known.
        objects: the storage as objects: a bucket, or the mounted storage.
        in_storage: deletes in the storage (`delete.via: storage`).
        unlinks: online collections delete the layer links of unused blobs in the storage.
        mentions: the digests that manifests mention, for online collections.
        collector: runs garbage collections.
        debug: the registry's debug server.
        parallel: the number of requests that may be made at once.
        named: the repositories to compare if the catalog cannot be read (`reconcile.repositories`).
    """

    optional_client: RegistryClient | None = None
    storage: ReadableStorage | None = None
    objects: ObjectStore | None = None
    in_storage: ManifestDeletion | None = None
    unlinks: bool = False
    mentions: MentionCache = field(default_factory=MentionCache)
    collector: Collector | None = None
    debug: DebugServer | None = None
    parallel: int = 1
    named: tuple[str, ...] = ()

    @property
    def is_configured(self) -> bool:
        """True if `registry.url` is set."""
        return self.optional_client is not None

    def relink(self, repository: str, blob: str) -> bool:
        """Write the link of a config or layer again that an online collection deleted, and bring back its data.

        For an image of the trash: its repository had this blob. The caller has the permit to write, so no collection
        runs. The collection may have been before gc.collector was set to another one.

        Returns:
            False if the data of the blob does not exist any more.

        Raises:
            StorageRefused: this process cannot write to the storage.
        """
        if self.objects is None:
            return False
        try:
            if self.objects.head(blob_key(blob)) is None and not self._bring_back(self.objects, blob):
                return False
            self.objects.write(layer_key(repository, blob), blob.encode())
        except (StorageUnavailable, StorageRefused) as error:
            if not self.objects.is_local:
                raise
            raise StorageRefused(
                f"an online collection deleted the link of {repository} to its layer {blob}, and this process cannot "
                f"write it again: mount {self.objects.name} read-write here, or run `pushprune restore` where it is "
                f"mounted read-write ({error})"
            ) from error
        return True

    def missing_blob(self, repository: str, blobs: Iterable[str]) -> str:
        """Return the first of these configs and layers that does not exist and cannot be linked again; "" if none."""
        # `has_blob` also sees that data is missing behind a blob-descriptor cache, with which the registry would accept
        # the manifest of a broken image.
        has_blob = self.client.has_blob
        for blob in blobs:
            if not has_blob(repository, blob) and not (self.relink(repository, blob) and has_blob(repository, blob)):
                return blob
        return ""

    @staticmethod
    def _bring_back(objects: ObjectStore, blob: str) -> bool:
        """Bring the data of a blob back from quarantine; False if the quarantine does not have it."""
        from service.registry.blob_quarantine import BlobQuarantine

        quarantine = BlobQuarantine(objects)
        return bool(quarantine.bring_back([packed(blob)], quarantine.batches()))

    @property
    def deletion(self) -> ManifestDeletion:
        """The way to delete manifests: in the storage if that is configured, else over the API."""
        return self.in_storage or ApiDeletion(self.client)

    @property
    def client(self) -> RegistryClient:
        """The client of the registry. Raises ConfigurationError if `registry.url` is not set."""
        if self.optional_client is None:
            raise ConfigurationError("registry.url is not set: set it to the registry's address, http:// or https://")
        return self.optional_client
