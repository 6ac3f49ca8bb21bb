"""Read the inventory of a storage in a mounted folder: one look at each file, and none at a folder of a single file.

The layout says which files can be where. The name of a folder is a digest: its link or data is looked up, not listed.
Tags are left out, which would take as long as all else: they cannot dangle here, and no collection needs them.
"""

from collections.abc import Callable, Iterator

from service.domain.collection.digests import pack
from service.domain.collection.storage_inventory import StorageInventory
from service.registry.folder import StoredFile, files_of_folders, names, walk
from service.registry.layout import BLOBS, REPOSITORIES, START

Progress = Callable[[int], None]


class FolderInventory:
    """The reading of one inventory.

    Args:
        root: of the storage.
        inventory: to add the files to.
        add: adds a file of any kind to the inventory, by its key.
    """

    def __init__(self, root: str, inventory: StorageInventory, add: Callable[[StoredFile], None]) -> None:
        self._root, self._inventory, self._add = root, inventory, add

    def read(self) -> Iterator[int]:
        """Add all files. Yields after each folder the number of its files.

        Raises:
            OSError: a folder or file cannot be read.
        """
        for algorithm in names(self._root, BLOBS):
            for start in filter(START.fullmatch, names(self._root, f"{BLOBS}/{algorithm}")):
                yield self._blobs(algorithm, start)
        yield from self._repositories(REPOSITORIES, "")

    def _blobs(self, algorithm: str, start: str) -> int:
        count, files = 0, files_of_folders(self._root, f"{BLOBS}/{algorithm}/{start}", "data")
        for hexadecimal, size_bytes, modified_us in files:
            if digest := pack(algorithm, hexadecimal):
                self._inventory.add_blob(digest, size_bytes, modified_us)
                count += 1
        return count

    def _repositories(self, folder: str, repository: str) -> Iterator[int]:
        for name in names(self._root, folder):
            inner = f"{folder}/{name}"
            if not repository or name not in ("_layers", "_manifests", "_uploads"):
                yield from self._repositories(inner, f"{repository}/{name}" if repository else name)
            elif name == "_layers":
                yield self._layers(inner, repository)
            elif name == "_manifests":
                # Every file counts there, also one that is not understood.
                yield self._all(f"{inner}/revisions")
            else:
                yield self._all(inner)

    def _layers(self, folder: str, repository: str) -> int:
        count = 0
        for algorithm in names(self._root, folder):
            files = files_of_folders(self._root, f"{folder}/{algorithm}", "link")
            for hexadecimal, _, modified_us in files:
                if digest := pack(algorithm, hexadecimal):
                    self._inventory.add_layer_link(repository, digest, modified_us)
                    count += 1
        return count

    def _all(self, folder: str) -> int:
        count = 0
        for file in walk(self._root, folder):
            self._add(file)
            count += 1
        return count
