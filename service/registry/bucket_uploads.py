"""Find unfinished uploads in a bucket."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from service.domain.collection.storage_inventory import StorageInventory, StoredUpload
from service.registry.layout import repository_key
from service.registry.objects import PARALLEL, ObjectStore
from service.registry.storage_inventory import add
from service.registry.uploads import Unfinished


def unfinished_in(objects: ObjectStore, repositories: Iterable[str], now_us: int, older_than_s: float) -> Unfinished:
    """Find the uploads in these repositories without a write for `older_than_s` seconds.

    The parts of a multipart upload are no objects, so their sizes are not counted. Only a lifecycle rule aborts them.
    """

    def uploads_of(repository: str) -> Iterable[StoredUpload]:
        inventory = StorageInventory(now_us)
        for stored in objects.list(f"{repository_key(repository)}/_uploads"):
            add(inventory, stored)
        return inventory.repository_of(repository).uploads.values()

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="uploads") as pool:
        uploads = [upload for uploads in pool.map(uploads_of, repositories) for upload in uploads]
    abandoned = [upload for upload in uploads if now_us - upload.written_us > older_than_s * 1_000_000]
    oldest_us = min((upload.written_us for upload in abandoned), default=now_us)
    return Unfinished(len(abandoned), sum(upload.size_bytes for upload in abandoned), (now_us - oldest_us) / 1_000_000)
