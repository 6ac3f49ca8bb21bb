"""The quarantine of an online collection: the data that it deleted is kept for a while, and can be brought back.

Each batch has a folder `pushprune/quarantine/<storage µs>-<redis µs>` with `<hexadecimal>/data` for each blob, and with
`links`: a line for each blob tells which repositories had a link to it. No registry looks at this folder. On a
filesystem, another batch has the deleted links, each below the path that it had: they are never brought back.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from service.domain.collection.digests import pack, unpacked
from service.domain.collection.online import Moment, UnlinkedBlob
from service.domain.errors import StorageUnavailable
from service.log import log
from service.registry import folder as files
from service.registry.empty_folders import remove_empty
from service.registry.layout import OURS, blob_key
from service.registry.objects import ObjectStore

FOLDER = f"{OURS}/quarantine"
_LINKS, _DATA = "links", "data"
_AT_ONCE = 1000


@dataclass(slots=True)
class QuarantineBatch:
    """The data that was deleted at one moment.

    Attributes:
        at: the moment right before.
        sizes: packed digest → bytes, of the blobs that are still in quarantine.
        errors: of the copies that could not be made, by the key of the data.
    """

    at: Moment
    sizes: dict[bytes, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder of the batch."""
        return f"{FOLDER}/{self.at.storage_us}-{self.at.redis_us}"

    def key(self, digest: bytes) -> str:
        """The key of a blob in this batch."""
        return f"{self.folder}/{digest.hex()}/{_DATA}"


class BlobQuarantine:
    """The quarantine in the storage. Every method raises StorageUnavailable and StorageRefused."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def begin(self, blobs: Sequence[UnlinkedBlob], at: Moment) -> QuarantineBatch:
        """Begin a batch, for `move`.

        In a bucket, which has no rename, the data is copied now, before it is claimed: no request waits for a copy. S3
        copies up to 5 GB in one request.

        Args:
            blobs: to move into quarantine.
            at: now.
        """
        batch = QuarantineBatch(at, {blob.digest: blob.size_bytes for blob in blobs})
        rows = ([blob.digest.hex(), list(blob.repositories)] for blob in blobs)
        # Before the data leaves, so that what is brought back can be linked again.
        self._objects.write(f"{batch.folder}/{_LINKS}", "\n".join(map(json.dumps, rows)).encode())
        if not self._objects.is_local:
            for key, error in self._each(self._objects.copy, self._places(batch, batch.sizes)).items():
                batch.errors[key] = error
        return batch

    def move(
        self, batch: QuarantineBatch, digests: Collection[bytes], before_each: Callable[[], object]
    ) -> dict[str, str]:
        """Move the data of these blobs of a batch into quarantine.

        Args:
            batch: begun before.
            digests: packed. They are claimed, so that no client uses them.
            before_each: called right before data leaves. An exception of it ends the move.

        Returns:
            The keys of the data that was not moved, each with the error, as `ObjectStore.delete` returns them.
        """
        places = self._places(batch, digests)
        if self._objects.is_local:
            before_each()
            return self._each(self._objects.rename_folder, places)
        failed = {key: batch.errors[key] for key in places if key in batch.errors}
        return failed | self._objects.delete((key for key in places if key not in failed), before_each)

    def unlink(
        self, batch: QuarantineBatch, keys: Collection[str], before_each: Callable[[], object]
    ) -> dict[str, str]:
        """Delete links: in a local folder, move each with its folder into a batch, without a way back.

        Args:
            batch: of this moment.
            keys: of the links. Their digests are claimed, so that no client writes them.
            before_each: as in `move`.

        Returns:
            The keys of the links that are left, each with the error.
        """
        if not self._objects.is_local:
            return self._objects.delete(keys, before_each)
        before_each()
        # The removal of a folder takes five times as long (ext4 that discards freed blocks), and requests would wait.
        failed = self._each(self._objects.rename_folder, {key: f"{batch.folder}/{key}" for key in keys})
        # A repository may be on a volume of its own.
        return self._objects.delete_with_folders(failed, before_each) if failed else {}

    def leave(self, batch: QuarantineBatch, digests: Collection[bytes]) -> None:
        """Take these blobs out of a batch that was begun: their data is not moved."""
        if not self._objects.is_local:
            self._objects.delete(map(batch.key, digests))
        for digest in digests:
            del batch.sizes[digest]

    def _places(self, batch: QuarantineBatch, digests: Collection[bytes]) -> dict[str, str]:
        """Map the key of each blob's data to its key in quarantine."""
        return {blob_key(unpacked(digest)): batch.key(digest) for digest in digests}

    def batches(self) -> tuple[QuarantineBatch, ...]:
        """The contents of the quarantine, the oldest batch first."""
        folders = {folder: at for folder in self._objects.folders(FOLDER) if (at := _moment(folder.rpartition("/")[2]))}
        batches = self._objects.each(self._batch, folders.items())
        return tuple(sorted(batches, key=lambda batch: batch.at.storage_us))

    def _batch(self, place: tuple[str, Moment]) -> QuarantineBatch:
        folder, at = place
        batch = QuarantineBatch(at)
        for name, size_bytes in self._stored(folder):
            if digest := pack("sha256", name):
                batch.sizes[digest] = size_bytes
        return batch

    def _stored(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield the hexadecimal and the size of all data in the folder of a batch."""
        if self._objects.root is None:
            for stored in self._objects.list(folder):
                name, _, file = stored.key.removeprefix(f"{folder}/").partition("/")
                if file == _DATA:
                    yield name, stored.size_bytes
            return
        # The name of each file is known, so it is looked up: a listing takes four times as long.
        root = str(self._objects.root)
        with self._objects.translated(f"{folder} cannot be listed"):
            for name, size_bytes, _ in files.files_of_folders(root, folder, _DATA):
                yield name, size_bytes

    def links(self, batches: Iterable[QuarantineBatch]) -> dict[bytes, tuple[str, ...]]:
        """Map each blob of these batches, also one that was brought back, to the repositories that had a link to it."""
        links: dict[bytes, tuple[str, ...]] = {}
        for key, content in self._objects.read_many(f"{batch.folder}/{_LINKS}" for batch in batches).items():
            try:
                for hexadecimal, names in map(json.loads, (content or b"").splitlines()):
                    digest = bytes.fromhex(hexadecimal)
                    links[digest] = tuple(dict.fromkeys((*links.get(digest, ()), *map(str, names))))
            except (ValueError, TypeError) as error:
                # A power failure may have cut it off. It is deleted with its batch, so collections must not end here.
                log.warning("not all links of data in quarantine are known", key=key, error=str(error))
        return links

    def bring_back(self, digests: Collection[bytes], batches: Iterable[QuarantineBatch]) -> Mapping[bytes, int]:
        """Move data out of quarantine, to where the registry looks for it.

        Args:
            digests: packed.
            batches: the contents of the quarantine.

        Returns:
            Packed digest → bytes, of the blobs that were brought back.
        """
        returned: dict[bytes, int] = {}
        for digest in digests:
            for batch in batches:
                if digest in batch.sizes and self._objects.rename(batch.key(digest), blob_key(unpacked(digest))):
                    returned[digest] = batch.sizes.pop(digest)
                    if self._objects.is_local:
                        # The folder is left. A bucket has none.
                        self._objects.delete_with_folders([batch.key(digest)])
                    break
        return returned

    def delete(self, batch: QuarantineBatch) -> Iterator[tuple[Sequence[str], dict[str, str]]]:
        """Delete a batch for good, 1,000 objects at a time.

        Yields:
            The keys of these objects; and those of them that were not deleted, each with the error.
        """
        # Data leaves with its folder: a registry that was killed may have left another file there.
        keys = [stored.key for stored in self._objects.list(batch.folder)]
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            yield part, self._objects.delete_with_folders(part)
        if self._objects.root:
            remove_empty(self._objects.root / batch.folder)

    def _each(self, move: Callable[[str, str], bool], places: Mapping[str, str]) -> dict[str, str]:
        """Move or copy each object to its place, and return the errors by key. A missing object is no error."""

        def attempt(place: tuple[str, str]) -> str:
            try:
                move(*place)
            except StorageUnavailable as error:
                return str(error)
            return ""

        errors = self._objects.each(attempt, places.items())
        return {key: error for key, error in zip(places, errors, strict=True) if error}


def _moment(name: str) -> Moment | None:
    storage_us, _, redis_us = name.partition("-")
    return Moment(int(storage_us), int(redis_us)) if storage_us.isdecimal() and redis_us.isdecimal() else None
