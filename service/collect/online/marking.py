"""Mark what must be kept: every digest that any manifest in the storage mentions."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from service.domain.collection.mentions import LONGEST_MANIFEST, Mentions, read_mentions
from service.domain.collection.storage_inventory import SHA256_BYTES, StorageInventory, is_packable, packed, unpacked
from service.domain.errors import CollectionFailed
from service.registry.layout import blob_key, key_of_link
from service.registry.mention_cache import MentionCache
from service.registry.objects import ObjectStore

# Bounds the memory for requests that wait.
_AT_ONCE = 4096


class Marking:
    """The marks of one inventory. They are a superset of what `registry garbage-collect` marks.

    Attributes:
        marks: the packed digests that must be kept.
    """

    def __init__(
        self,
        objects: ObjectStore,
        inventory: StorageInventory,
        cache: MentionCache,
        advance: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Prepare. advance: called with the number of manifests whose mentions have become known."""
        self._objects, self._inventory, self._cache, self._advance = objects, inventory, cache, advance
        self.marks: set[bytes] = set()

    def mark(self, held: Iterable[bytes] = (), contents: Iterable[bytes] = ()) -> None:
        """Mark all manifests of all repositories with what they mention, and the same of each part that is a manifest.

        Args:
            held: packed digests that are kept for another reason.
            contents: bytes of manifests that are not in the storage, and whose blobs are kept.

        Raises:
            CollectionFailed: a manifest or a link is missing, damaged or too large, so that its blobs are not known.
            StorageUnavailable, StorageRefused: the storage cannot be read.
        """
        self._mark_renamed()
        self._mark_inexplicable()
        places = self._inventory.repositories.items()
        names = {digest: name for name, stored in places for digest in stored.revisions}
        self._follow(names.keys(), names)
        extra = [read_mentions(content) for content in contents]
        self.marks.update(held, *(mentions.digests for mentions in extra))
        self._follow(self._stored(frozenset(held).union(*(mentions.parts for mentions in extra))))
        self._cache.keep_only(self.marks)

    def unknown_manifests(self) -> tuple[str, ...]:
        """The manifests of Docker schema 1 and of formats that are not known here, as repository@digest."""
        known = ((name, digest) for name, stored in self._inventory.repositories.items() for digest in stored.revisions)
        cached = ((name, digest, self._cache.get(digest)) for name, digest in known)
        return tuple(f"{name}@{unpacked(digest)}" for name, digest, each in cached if each and not each.is_known)

    def everything_of(self, manifest: bytes) -> frozenset[bytes]:
        """The digests that a manifest and its parts mention, as far as they were marked."""
        digests: set[bytes] = set()
        todo = {manifest}
        while todo:
            mentions = self._cache.get(todo.pop())
            if mentions:
                todo |= mentions.parts - digests
                digests |= mentions.digests
        return frozenset(digests)

    def learn(self, digest: bytes, content: bytes | None) -> None:
        """Learn the bytes of a manifest, or of another blob, that is not at its place."""
        self._cache.add(digest, read_mentions(_checked(digest, content, "")))

    def read(self, repository: str, manifests: Collection[bytes]) -> None:
        """Read manifests of a repository that came after the inventory, with their parts."""
        self._follow(manifests, dict.fromkeys(manifests, repository))

    def _mark_renamed(self) -> None:
        """Mark the blobs that were pushed by a digest of another algorithm.

        The registry stores their data under its sha256, which only the link tells: no manifest mentions it.
        """
        layer_links = self._inventory.layer_links
        others = [digest for digest in self._inventory.linked_digests() if len(digest) != SHA256_BYTES]
        links = {key_of_link(link) for digest in others for link in layer_links(digest)}
        for key, content in self._objects.read_many(links).items():
            target = (content or b"").decode("ascii", "replace")
            if content is not None and not is_packable(target):
                raise CollectionFailed(f"the link {key} names no digest, so its blob is unknown; nothing was deleted")
            if content is not None:
                self.marks.add(packed(target))

    def _mark_inexplicable(self) -> None:
        """Mark the signatures of Docker schema 1, and the blobs with a link in a folder that no registry created.

        No manifest mentions these signatures. The folder may be that of a repository once it is named as before.
        """
        self.marks |= self._inventory.signatures
        if strange := self._inventory.strange_folders:
            for name, links in self._inventory.links_by_repository():
                self.marks.update(digest for digest, _ in links if name in strange)

    def _follow(self, manifests: Iterable[bytes], names: dict[bytes, str] | None = None) -> None:
        """Mark these manifests, what they mention, and so on.

        Args:
            manifests: packed digests.
            names: of the repositories of the manifests, which must exist; a part may be missing.
        """
        todo, seen = set(manifests), set()
        while todo:
            self.marks |= todo
            seen |= todo
            parts: set[bytes] = set()
            for digest, mentions in self._mentions(todo, names or {}):
                self.marks.add(digest)
                self.marks |= mentions.digests
                parts |= mentions.parts
            todo = set(self._stored(parts - seen))

    def _stored(self, digests: Iterable[bytes]) -> Iterator[bytes]:
        """Yield those of these digests whose data is small enough for a manifest."""
        for digest in digests:
            blob = self._inventory.blob(digest)
            if blob is not None and blob.size_bytes <= LONGEST_MANIFEST:
                yield digest

    def _mentions(self, manifests: Iterable[bytes], names: dict[bytes, str]) -> Iterator[tuple[bytes, Mentions]]:
        todo, unknown = tuple(manifests), []
        for digest in todo:
            mentions = self._cache.get(digest)
            if mentions is None:
                unknown.append(digest)
            else:
                yield digest, mentions
        self._advance(len(todo) - len(unknown))
        for at in range(0, len(unknown), _AT_ONCE):
            page = unknown[at : at + _AT_ONCE]
            for digest in page:
                self._refuse_large(digest, names)
            for digest, mentions in zip(page, self._objects.each(partial(self._read, names), page), strict=True):
                self._cache.add(digest, mentions)
                yield digest, mentions
            self._advance(len(page))

    def _read(self, names: dict[bytes, str], digest: bytes) -> Mentions:
        content = self._objects.read(blob_key(unpacked(digest)))
        return read_mentions(_checked(digest, content, names.get(digest, "")))

    def _refuse_large(self, digest: bytes, names: dict[bytes, str]) -> None:
        blob = self._inventory.blob(digest)
        if blob is not None and blob.size_bytes > LONGEST_MANIFEST:
            raise _unknown(digest, names.get(digest, ""), "is larger than 4 MiB")


def _checked(digest: bytes, content: bytes | None, repository: str) -> bytes:
    """Return the bytes of a manifest. Raises CollectionFailed if they are not those that its digest names."""
    if content is None:
        raise _unknown(digest, repository, "has no data in the storage")
    if hashlib.new(unpacked(digest).partition(":")[0], content).digest() != digest:
        raise _unknown(digest, repository, "is damaged: its data does not have its digest")
    return content


def _unknown(digest: bytes, repository: str, damage: str) -> CollectionFailed:
    name = f"{repository}@{unpacked(digest)}" if repository else unpacked(digest)
    return CollectionFailed(
        f"the manifest {name} {damage}, so the blobs that it needs are unknown; nothing was deleted: push the image "
        "again, or delete the manifest"
    )
