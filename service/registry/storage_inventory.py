"""Read the inventory of a storage: one look at a folder, or one listing of a bucket in parallel shards."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, islice

from service.domain.collection.digests import DigestTable
from service.domain.collection.storage_inventory import StorageInventory, StoredRepository, StoredTag
from service.registry.folder import StoredFile
from service.registry.folder_inventory import FolderInventory
from service.registry.layout import (
    BLOBS,
    REPOSITORIES,
    StoredKey,
    StoredKind,
    is_unknown_revision,
    parse,
    repository_key,
)
from service.registry.objects import PAGE, PARALLEL, ObjectStore, StoredObject

Progress = Callable[[int], None]
_HEXADECIMAL = "0123456789abcdef"


class Shard:
    """A part of a listing: the keys below `prefix` that are behind `after` and begin below `until` ("" for no end)."""

    def __init__(self, prefix: str, after: str = "", until: str = "") -> None:
        self.prefix, self.after, self.until = prefix, after, until

    def objects(self, store: ObjectStore) -> Iterator[StoredObject]:
        """Yield the objects of the shard."""
        for stored in store.list(self.prefix, self.after):
            if self.until and stored.key >= self.until:
                return
            yield stored


def read_inventory(
    store: ObjectStore, progress: Progress = lambda objects: None, digests: DigestTable | None = None
) -> StorageInventory:
    """List the whole storage once and return its inventory.

    Args:
        store: the storage.
        progress: called after each page with the number of its objects.
        digests: a table for the inventory to use.

    Raises:
        StorageUnavailable, StorageRefused: the listing failed. There is no inventory of a part.
    """
    inventory = StorageInventory(store.now_us(), digests)
    if store.root is not None:
        _read_folder(store, str(store.root), inventory, progress)
        return inventory
    # The shards of the repositories are looked for while blobs are listed.
    for page in _pages(store, chain.from_iterable(find(store) for find in (blob_shards, repository_shards))):
        for stored in page:
            add(inventory, stored)
        progress(len(page))
    return inventory


def _read_folder(store: ObjectStore, root: str, inventory: StorageInventory, progress: Progress) -> None:
    def add_file(file: StoredFile) -> None:
        add(inventory, StoredObject(*file, ""))

    count = 0
    with store.translated(f"{root} cannot be read"):
        for files in FolderInventory(root, inventory, add_file).read():
            count += files
            if count >= PAGE:
                progress(count)
                count = 0
    progress(count)


def read_repository(
    store: ObjectStore, repository: str, unknown: Callable[[str], None] = lambda key: None
) -> StoredRepository:
    """List the manifests and tags of one repository.

    Args:
        store: the storage.
        repository: the name.
        unknown: called with the key of each object that no registry creates.
    """
    inventory = StorageInventory(0)
    for stored in store.list(f"{repository_key(repository)}/_manifests"):
        if parse(stored.key) is None:
            unknown(stored.key)
        add(inventory, stored)
    return inventory.repository_of(repository)


def add(inventory: StorageInventory, stored: StoredObject) -> None:
    """Add an object to the inventory. An object that is none of a registry's is left out."""
    place = parse(stored.key)
    if place is None:
        if is_unknown_revision(stored.key):
            inventory.unknown_revisions.append(stored.key)
    elif place.kind is StoredKind.LAYER:
        inventory.add_layer_link(place.repository, place.digest, stored.modified_us)
    elif place.kind is StoredKind.BLOB:
        inventory.add_blob(place.digest, stored.size_bytes, stored.modified_us)
    elif place.kind is StoredKind.SIGNATURE:
        inventory.signatures.add(place.digest)
    else:
        _add_to(inventory.repository_of(place.repository), place, stored)


def _add_to(repository: StoredRepository, place: StoredKey, stored: StoredObject) -> None:
    match place.kind:
        case StoredKind.INDEX:
            repository.indexes.setdefault(place.name, {})[place.digest] = stored.modified_us
        case StoredKind.REVISION:
            repository.revisions[place.digest] = stored.modified_us
        case StoredKind.CURRENT:
            repository.tags[place.name] = StoredTag(stored.modified_us, stored.etag)
        case StoredKind.UPLOAD:
            repository.add_upload_part(place.name, stored.size_bytes, stored.modified_us)


def blob_shards(store: ObjectStore) -> list[Shard]:
    """The shards of `blobs/`: sixteen of the key space of sha256, and the other algorithms."""
    shards = [Shard(folder) for folder in store.folders(BLOBS) if folder != f"{BLOBS}/sha256"]
    root = f"{BLOBS}/sha256"
    for digit, following in zip(_HEXADECIMAL, [*_HEXADECIMAL[1:], ""], strict=True):
        # `/` sorts before every digit, so the folder of a digit is before everything in it.
        shards.append(Shard(root, f"{root}/{digit}", f"{root}/{following}" if following else ""))
    return shards


def repository_shards(store: ObjectStore) -> list[Shard]:
    """The shards of `repositories/`: folders of it, down to the level that has enough of them."""
    folders: list[str] = [REPOSITORIES]
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="folders") as pool:
        while len(folders) < PARALLEL:
            # Folders that begin with `_` hold the objects of one repository.
            inner = [folder for folder in folders if not folder.rpartition("/")[2].startswith("_")]
            if not inner:
                break
            leaves = [folder for folder in folders if folder not in inner]
            folders = leaves + [below for folders_below in pool.map(store.folders, inner) for below in folders_below]
    return [Shard(folder) for folder in folders]


def _pages(store: ObjectStore, shards: Iterable[Shard]) -> Iterator[list[StoredObject]]:
    """Yield pages of the objects of all shards, which threads list in parallel."""
    waiting = (shard.objects(store) for shard in shards)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="inventory") as pool:

        def next_page(objects: Iterator[StoredObject]) -> Future[list[StoredObject]]:
            return pool.submit(lambda: list(islice(objects, PAGE)))

        # Few shards at a time: a page that is read and not added yet takes memory.
        listing = {next_page(objects): objects for objects in islice(waiting, PARALLEL)}
        while listing:
            for future in wait(listing, return_when=FIRST_COMPLETED).done:
                objects, page = listing.pop(future), future.result()
                if page:
                    listing[next_page(objects)] = objects
                    yield page
                elif (following := next(waiting, None)) is not None:
                    listing[next_page(following)] = following
