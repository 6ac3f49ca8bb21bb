"""Construct the registry with its storage, its collector and its debug server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from service.domain.errors import ConfigurationError
from service.registry import Registry
from service.registry.bucket_storage import BucketStorage
from service.registry.client import RegistryClient
from service.registry.collector import Collector
from service.registry.debug import DebugServer
from service.registry.deletion import ManifestDeletion
from service.registry.disk import DiskDeletion
from service.registry.storage import Storage
from service.registry_clients import registry_client
from service.settings import Settings

if TYPE_CHECKING:
    from service.registry.objects import ObjectStore
    from service.settings.registry import StorageSettings


def wire_registry(settings: Settings, timed: Callable[[str, float], object], word: Callable[[], str]) -> Registry:
    """Construct the registry. timed, word: as for RegistryTransport.

    Raises:
        ConfigurationError: the storage is a bucket that cannot be used.
    """
    mounted = Storage(settings.storage.folder) if settings.storage.folder else None
    objects = _objects(settings.storage)
    client = registry_client(settings, timed, word)
    debug_urls = settings.registry.debug_url
    return Registry(
        storage=mounted or (BucketStorage(objects) if objects else None),
        objects=objects,
        in_storage=_deletion_in_storage(settings, mounted, objects, client),
        optional_client=client,
        collector=_collector(settings, mounted),
        debug=DebugServer(debug_urls, settings.registry.timeout_s) if debug_urls else None,
        parallel=settings.delete.parallel,
        named=tuple(settings.reconcile.repositories),
        unlinks=settings.gc.collector == "online",
    )


def _deletion_in_storage(
    settings: Settings, mounted: Storage | None, objects: ObjectStore | None, client: RegistryClient | None
) -> ManifestDeletion | None:
    """The deletion in the storage; None with `delete.via: api`."""
    if settings.delete.via != "storage" or client is None:
        return None
    if mounted:
        return DiskDeletion(mounted, client)
    if objects is None:
        return None
    from service.registry.bucket_deletion import BucketDeletion

    return BucketDeletion(BucketStorage(objects), client)


def _objects(storage: StorageSettings) -> ObjectStore | None:
    """The storage as objects; None if none is set, or if it is a folder and the extra `storage` is not installed.

    Raises:
        ConfigurationError: the storage is a bucket that cannot be used.
    """
    if not storage.folder and not storage.bucket:
        return None
    try:
        from service.registry.bucket import Bucket, open_bucket, open_folder
    except ImportError as error:
        if storage.folder:
            return None
        raise ConfigurationError(
            f"storage.url {storage.bucket} needs obstore, which is not installed: pip install 'pushprune[storage]'"
        ) from error
    if storage.folder:
        return open_folder(storage.folder)
    return open_bucket(
        Bucket(
            url=storage.bucket or "",
            endpoint=storage.endpoint,
            region=storage.region,
            path_style=storage.path_style,
            access_key=storage.access_key,
            secret_key=storage.secret_key.get_secret_value() if storage.secret_key else None,
            credentials_file=storage.credentials_file,
            ca_file=storage.ca_file,
            timeout_s=storage.timeout_s,
        )
    )


def _collector(settings: Settings, storage: Storage | None) -> Collector | None:
    is_online = settings.gc.collector == "online"
    if not settings.gc.command and not is_online:
        return None
    # The lock file is in the storage that it protects, so that every host that mounts the storage sees it.
    lock = (storage.root if storage else settings.data_dir) / ".pushprune-collect.lock"
    # An online collection runs no command; the lock proves the death of its worker.
    return Collector(() if is_online else settings.gc.command or (), lock, settings.gc.timeout, storage)
