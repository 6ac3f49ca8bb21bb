"""A registry over an object store, without HTTP: writes and refuses as Distribution 2.8.3 does.

The rules are those of "Object storage" in service/README.md, held to the real registry by tests/contract.
"""

import json
from collections.abc import Generator, Iterable

from service.domain.collection.digests import unpacked
from service.registry.layout import blob_key, current_key, index_key, layer_key, revision_key
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_inventory
from tests.fakes.images import Image, sha256

# The accesses of one request to the storage, and its answer.
Steps = Generator[None, None, str]


def at_once(steps: Steps) -> str:
    """Carry out a request without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value)


class Refusal(Exception):
    """The registry answered 400 or 404."""


class ObjectRegistry:
    """The requests that a push consists of, each as one step."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def head(self, repository: str, digest: str) -> bool:
        """HEAD of a blob: it has a link, and data."""
        return self._has(layer_key(repository, digest)) and self._has(blob_key(digest))

    def upload(self, repository: str, content: bytes) -> str:
        """The PUT that ends an upload: data that exists is not written again, the link is."""
        return at_once(self.uploading(repository, content))

    def uploading(self, repository: str, content: bytes) -> Steps:
        """The same, with a pause after each access to the storage."""
        digest = sha256(content)
        is_stored = self._has(blob_key(digest))
        yield
        if not is_stored:
            self.objects.write(blob_key(digest), content)
            yield
        self.objects.write(layer_key(repository, digest), digest.encode())
        return digest

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """A mount; False where it becomes an upload."""
        return bool(at_once(self.mounting(repository, digest, source)))

    def mounting(self, repository: str, digest: str, source: str) -> Steps:
        """The same, with a pause after each access to the storage."""
        is_there = self.head(source, digest)
        yield
        if is_there:
            self.objects.write(layer_key(repository, digest), digest.encode())
        return digest if is_there else ""

    def put(self, repository: str, tag: str | None, content: bytes) -> str:
        """PUT of a manifest: each config and layer must have its link and its data, each child its revision."""
        return at_once(self.putting(repository, tag, content))

    def putting(self, repository: str, tag: str | None, content: bytes) -> Steps:
        """The same, with a pause after each access to the storage."""
        body, digest = json.loads(content), sha256(content)
        for entry in (*filter(None, [body.get("config")]), *body.get("layers", ())):
            if not self.head(repository, entry["digest"]):
                raise Refusal(entry["digest"])
            yield
        for entry in body.get("manifests", ()):
            if not self._has(revision_key(repository, entry["digest"])):
                raise Refusal(entry["digest"])
            yield
        is_stored = self._has(blob_key(digest))
        yield
        if not is_stored:
            self.objects.write(blob_key(digest), content)
            yield
        self.objects.write(revision_key(repository, digest), digest.encode())
        if tag:
            self.objects.write(index_key(repository, tag, digest), digest.encode())
            self.objects.write(current_key(repository, tag), digest.encode())
        return digest

    def push(self, repository: str, tag: str | None, image: Image) -> str:
        """A whole push."""
        for child in image.children:
            self.push(repository, None, child)
        for blob in image.blobs:
            if not self.head(repository, sha256(blob)):
                self.upload(repository, blob)
        return self.put(repository, tag, image.manifest)

    def delete(self, repository: str, digest: str) -> None:
        """DELETE of a manifest: its revision link."""
        self.objects.delete([revision_key(repository, digest)])

    def broken(self) -> tuple[str, ...]:
        """The manifests that miss something, as a client that pulls them would see it."""
        return tuple(self._broken())

    def _broken(self) -> Iterable[str]:
        for repository, stored in read_inventory(self.objects).repositories.items():
            for revision in stored.revisions:
                yield from self._damage(repository, unpacked(revision))

    def _damage(self, repository: str, digest: str) -> Iterable[str]:
        content = self.objects.read(blob_key(digest))
        if content is None:
            yield f"{repository}@{digest} has no data"
            return
        body = json.loads(content)
        for entry in (*filter(None, [body.get("config")]), *body.get("layers", ())):
            if not self.head(repository, entry["digest"]):
                yield f"{repository}@{digest} misses {entry['digest']}"

    def eligible(self) -> frozenset[str]:
        """The blobs that the dry run of garbage-collect lists: all that no revision references directly."""
        inventory, marked = read_inventory(self.objects), set()
        for stored in inventory.repositories.values():
            for revision in map(unpacked, stored.revisions):
                body = json.loads(self.objects.read(blob_key(revision)) or b"{}")
                entries = (*filter(None, [body.get("config")]), *body.get("layers", ()), *body.get("manifests", ()))
                marked |= {revision, *(entry["digest"] for entry in entries)}
        return frozenset(unpacked(blob.digest) for blob in inventory.blobs()) - marked

    def _has(self, key: str) -> bool:
        return self.objects.head(key) is not None
