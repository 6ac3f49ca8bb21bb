"""A folder that plays a bucket of S3: times in whole seconds, ETags of the content, deletions that obey a condition."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from obstore.store import LocalStore

from service.domain.collection.digests import unpacked
from service.domain.oci.names import is_tag
from service.registry import layout
from service.registry.layout import StoredKind
from service.registry.objects import ObjectStore, StoredObject
from tests.machine.disk import Disk, DiskStep

_S = 1_000_000


class PlayedBucket(ObjectStore):
    """The bucket; a worker's writes are steps. obeys: deletions obey a condition, as those of S3 and Azure."""

    def __init__(self, folder: Path, disk: Disk, *, obeys: bool) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(LocalStore(folder, automatic_cleanup=True), "s3://registry")
        self._folder, self._disk, self._obeys = folder, disk, obeys

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        for stored in super().list(prefix, after):
            yield self._played(stored)

    def head(self, key: str) -> StoredObject | None:
        stored = super().head(key)
        return self._played(stored) if stored else None

    def read_with_etag(self, key: str) -> tuple[bytes | None, str]:
        content = self.read(key)
        return content, self._etag(key)

    @property
    def obeys_conditions(self) -> bool:
        return self._obeys

    def delete_if(self, key: str, etag: str) -> bool:
        def delete() -> bool:
            if self._obeys and self._etag(key) not in (etag, ""):
                return False
            return self._deleted(key)

        return bool(self._disk.around(_step("delete", key), delete))

    def delete(self, keys: Iterable[str], before_each: Callable[[], object] = lambda: None) -> dict[str, str]:
        names = tuple(keys)
        if all(layout.parse(name) is None for name in names):
            return super().delete(names, before_each)
        for name in names:
            self._disk.around(_step("delete", name), partial(self._deleted, name))
        return {}

    def create(self, key: str, content: bytes) -> bool:
        return bool(self._disk.around(_step("push", key), lambda: super(PlayedBucket, self).create(key, content)))

    def _deleted(self, key: str) -> bool:
        return not super().delete([key])

    def _played(self, stored: StoredObject) -> StoredObject:
        return stored._replace(modified_us=stored.modified_us // _S * _S, etag=self._etag(stored.key))

    def _etag(self, key: str) -> str:
        try:
            content = (self._folder / key).read_bytes()
        except OSError:
            return ""
        return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _step(action: str, key: str) -> DiskStep:
    place = layout.parse(key)
    if place is not None and place.kind is StoredKind.CURRENT and is_tag(place.name):
        return DiskStep(action, place.name)
    if place is not None and place.kind is StoredKind.REVISION:
        return DiskStep(action, "", unpacked(place.digest))
    return DiskStep()
