"""The registry's storage as objects: S3, Google Cloud Storage, Azure, a local folder or memory, through obstore."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import obstore
from obstore import exceptions
from obstore.store import LocalStore

from service.domain.errors import StorageUnavailable
from service.registry import folder
from service.registry.conditional import ConditionalDeletion
from service.registry.layout import OURS
from service.registry.object_deletion import ObjectDeletion
from service.registry.object_errors import translated

# The largest number of keys in one page of a listing and in one bulk deletion (limits of S3).
PAGE = 1000
# Requests at the same time. obstore has one connection pool per store.
# With 20 ms a call, 70 are 3,500 calls a second. S3 takes as many writes.
PARALLEL = 70
# On ext4 that discards freed blocks, the removal of a folder sleeps for 0.1 ms.
_FILES_AT_ONCE = 16
K = TypeVar("K")
T = TypeVar("T")


class StoredObject(NamedTuple):
    """One object of a listing.

    Attributes:
        key: relative to the root of the storage.
        modified_us: by the storage's clock. Object storage may round it down to a whole second.
        etag: without quotes; "" if the storage has none.
    """

    key: str
    size_bytes: int
    modified_us: int
    etag: str


class ObjectStore:
    """The objects below the registry's `rootdirectory`.

    Attributes:
        root: the folder of the objects; None in a bucket.

    Every method raises:
        StorageUnavailable: time-out, no connection, SlowDown or another 5xx after the retries of obstore.
        StorageRefused: the login is wrong, its rights do not suffice, or there is no such bucket.
    """

    def __init__(
        self,
        store: Any,
        name: str,
        conditional: ConditionalDeletion | None = None,
        deletion: ObjectDeletion | None = None,
    ) -> None:
        """Wrap an obstore store.

        Args:
            store: of obstore.
            name: its URL, for messages.
            conditional: deletes with a condition, if it can.
            deletion: deletes without one; None if nothing is carried out after a call, as in a folder or memory.
        """
        self._store, self.name, self._conditional = store, name, conditional
        self.root = Path(store.prefix) if isinstance(store, LocalStore) and store.prefix else None
        self._deletion = deletion or ObjectDeletion(store, name, PAGE, is_local=True)

    @property
    def is_local(self) -> bool:
        """True if the objects are files. Renames are then atomic, listings have no order, and folders exist."""
        return self.root is not None

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """Yield the objects below a folder, in pages of 1,000.

        Args:
            prefix: a folder, without a slash at its end: `a` does not list `ab/c`.
            after: yield only keys behind this one. Object storage sorts keys by bytes; a local folder is not sorted.
        """
        with self.translated(f"{prefix or '/'} cannot be listed"):
            stream = obstore.list(self._store, prefix or None, offset=after or None, chunk_size=PAGE)
            for page in stream:
                for meta in page:
                    yield _stored(meta["path"], meta)

    def folders(self, prefix: str) -> tuple[str, ...]:
        """The folders directly below a folder, as prefixes."""
        with self.translated(f"{prefix} cannot be listed"):
            return tuple(obstore.list_with_delimiter(self._store, prefix)["common_prefixes"])

    def read(self, key: str) -> bytes | None:
        """Return an object's content; None if it does not exist."""
        with self.translated(f"{key} cannot be read"):
            if self.root:
                return folder.read(str(self.root), key)
            try:
                return obstore.get(self._store, key).bytes().to_bytes()
            except FileNotFoundError:
                return None

    def read_start(self, key: str, length: int) -> bytes | None:
        """Return the first bytes of an object that is not empty, `length` at most; None if it does not exist."""
        with self.translated(f"{key} cannot be read"):
            if self.root:
                return folder.read(str(self.root), key, length)
            try:
                return obstore.get_range(self._store, key, start=0, length=length).to_bytes()
            except FileNotFoundError:
                return None

    def read_with_etag(self, key: str) -> tuple[bytes | None, str]:
        """Return an object's content and ETag; None and "" if it does not exist."""
        with self.translated(f"{key} cannot be read"):
            try:
                result = obstore.get(self._store, key)
                return result.bytes().to_bytes(), (result.meta["e_tag"] or "").strip('"')
            except FileNotFoundError:
                return None, ""

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes | None]:
        """Return the content of each object, read in parallel; None for each that does not exist."""
        names = tuple(keys)
        return dict(zip(names, self.each(self.read, names), strict=True))

    def each(self, function: Callable[[K], T], items: Iterable[K]) -> Iterator[T]:
        """Call a function of the storage for each item, and yield the results in this order, as `map` does.

        In parallel in a bucket. A file is accessed in less time than a thread takes.
        """
        if self.root:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="objects") as pool:
            yield from pool.map(function, items)

    def head(self, key: str) -> StoredObject | None:
        """Return the size, time and ETag of an object; None if it does not exist."""
        with self.translated(f"{key} cannot be looked up"):
            try:
                meta = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        return _stored(key, meta)

    def write(self, key: str, content: bytes | bytearray) -> bool:
        """Write an object, which replaces one of that name; return True if the storage keeps versions."""
        with self.translated(f"{key} cannot be written"):
            written = obstore.put(self._store, key, content, use_multipart=False)
        # A bucket whose versioning was suspended calls each version "null".
        return written["version"] not in (None, "null")

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless there is one of that name; return False if there is.

        A storage that does not know the condition (If-None-Match) writes in any case.
        """
        with self.translated(f"{key} cannot be written"):
            try:
                obstore.put(self._store, key, content, mode="create", use_multipart=False)
            except exceptions.AlreadyExistsError:
                return False
        return True

    def copy(self, source: str, target: str) -> bool:
        """Copy an object within the storage; False if the source does not exist. S3 copies up to 5 GB.

        In a local folder, the copy is a hard link: a later write into the source also changes the copy.
        """
        with self.translated(f"{source} cannot be copied"):
            try:
                obstore.copy(self._store, source, target)
            except FileNotFoundError:
                return False
        return True

    def rename(self, source: str, target: str) -> bool:
        """Rename an object; False if the source does not exist.

        Atomic in a local folder. On object storage it is a copy and a deletion, which a write in between is lost to.
        """
        with self.translated(f"{source} cannot be renamed"):
            if self.root:
                return folder.rename(str(self.root), source, target)
            try:
                obstore.rename(self._store, source, target)
            except FileNotFoundError:
                return False
        return True

    def rename_folder(self, source: str, target: str) -> bool:
        """Rename an object with its folder, which holds nothing else; False if it does not exist.

        In a local folder, this is one call, after which no empty folder is left that a client might write to. A bucket
        has no folders.
        """
        if not self.root:
            return self.rename(source, target)
        with self.translated(f"{source} cannot be renamed"):
            return folder.rename(str(self.root), source.rpartition("/")[0], target.rpartition("/")[0])

    def delete(self, keys: Iterable[str], before_each: Callable[[], object] = lambda: None) -> dict[str, str]:
        """Delete objects, 1,000 in one call where the storage can.

        Args:
            keys: a key that does not exist is no error.
            before_each: called right before each request, and once for all files. An exception of it ends the deletion.

        Returns:
            The keys that were not deleted, each with the error. No request to delete them is in progress.

        Raises:
            StorageUnavailable: the storage did not answer, and may still delete some of the objects.
        """
        return self._deletion.delete(keys, before_each)

    def delete_with_folders(
        self, keys: Iterable[str], before_each: Callable[[], object] = lambda: None
    ) -> dict[str, str]:
        """Delete objects as `delete` does, and the folders of files that are empty then. A bucket has no folders.

        No other process may write into these folders meanwhile.
        """
        if not self.root:
            return self.delete(keys, before_each)
        before_each()
        names, failed = list(keys), dict[str, str]()
        shares = [names[first::_FILES_AT_ONCE] for first in range(min(_FILES_AT_ONCE, len(names)))]
        for errors in self._threads.map(partial(folder.delete, str(self.root), with_folders=True), shares):
            failed |= errors
        return failed

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        # Kept, because a collection deletes two hundred files at a time: the threads took longer than the calls.
        return ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="folders")

    def bulk_error(self, keys: Collection[str]) -> str:
        """Delete objects in one request; return its error, or "". The storage may have no such request."""
        return self._deletion.bulk_error(tuple(keys))

    @property
    def obeys_conditions(self) -> bool:
        """True if the storage deletes an object only if it is still what it was."""
        with self.translated("the test of conditional deletions failed"):
            return self._conditional is not None and self._conditional.is_obeyed

    def delete_if(self, key: str, etag: str) -> bool:
        """Delete an object if it still has this ETag; False if it has another one.

        A storage that does not know the condition deletes the object in any case.
        """
        with self.translated(f"{key} cannot be deleted"):
            if self._conditional is not None and self.obeys_conditions:
                return self._conditional.delete(key, etag)
        if failed := self.delete([key]):
            raise StorageUnavailable(f"{self.name}: {key} was not deleted: {failed[key]}")
        return True

    def now_us(self) -> int:
        """The storage's clock, in µs since the epoch: the time of an object that is written for this."""
        key = f"{OURS}/clock"
        self.write(key, str(time.time()).encode())
        clock = self.head(key)
        if clock is None:
            raise StorageUnavailable(f"{self.name} does not have {key} although it was just written: try again later")
        return clock.modified_us

    def translated(self, failure: str) -> AbstractContextManager[None]:
        """Translate the errors of the block. failure: what could not be done."""
        return translated(f"{self.name}: {failure}")


def _stored(key: str, meta: Any) -> StoredObject:
    modified_us = round(meta["last_modified"].timestamp() * 1_000_000)
    return StoredObject(key, meta["size"], modified_us, (meta["e_tag"] or "").strip('"'))
