"""Mark what must be kept: every digest that any manifest in the storage mentions."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from service.domain.collection.digests import Marks, is_packable, packed, unpacked
from service.domain.collection.mentions import LONGEST_MANIFEST, Mentions, read_mentions
from service.domain.collection.storage_inventory import StorageInventory
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
        self.marks = Marks(inventory.digests)

    def mark(self, held: Collection[bytes] = (), contents: Iterable[bytes] = ()) -> None:
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
        self._follow(digest for stored in self._inventory.repositories.values() for digest in stored.revisions)
        self.marks.update(held)
        parts = set(held)
        for mentions in map(read_mentions, contents):
            self.marks.update(mentions.digests)
            parts |= mentions.parts
        self._follow(self._stored(parts))
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
        self._cache.add(digest, read_mentions(self._checked(digest, content, "")))

    def read(self, repository: str, manifests: Iterable[bytes]) -> None:
        """Read manifests of a repository that came after the inventory, with their parts."""
        self._follow(manifests, repository)

    def _mark_renamed(self) -> None:
        """Mark the blobs that were pushed by a digest of another algorithm.

        The registry stores their data under its sha256, which only the link tells: no manifest mentions it.
        """
        inventory = self._inventory
        links = {key_of_link(link) for digest in inventory.digests.others for link in inventory.layer_links(digest)}
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
        self.marks.update(self._inventory.signatures)
        if strange := self._inventory.strange_folders:
            for name, links in self._inventory.links_by_repository():
                if name in strange:
                    self.marks.update(self._inventory.link(number).digest for number in links)

    def _follow(self, manifests: Iterable[bytes], repository: str = "") -> None:
        """Mark these manifests, what they mention, and so on.

        Args:
            manifests: packed digests.
            repository: of the manifests, if the inventory may not know them.
        """
        seen = Marks(self._inventory.digests)
        while manifests:
            rest, parts = iter(manifests), set[bytes]()
            while page := tuple(islice(rest, _AT_ONCE)):
                new = [digest for digest in dict.fromkeys(page) if digest not in seen]
                seen.update(new)
                self.marks.update(new)
                for mentions in self._mentions(new, repository):
                    self.marks.update(mentions.digests)
                    parts |= mentions.parts
            manifests = tuple(digest for digest in self._stored(parts) if digest not in seen)

    def _stored(self, digests: Iterable[bytes]) -> Iterator[bytes]:
        """Yield those of these digests whose data is small enough for a manifest."""
        for digest in digests:
            blob = self._inventory.blob(digest)
            if blob is not None and blob.size_bytes <= LONGEST_MANIFEST:
                yield digest

    def _mentions(self, manifests: Sequence[bytes], repository: str) -> Iterator[Mentions]:
        known = {digest: self._cache.get(digest) for digest in manifests}
        unknown = [digest for digest, mentions in known.items() if mentions is None]
        for digest in unknown:
            blob = self._inventory.blob(digest)
            if blob is not None and blob.size_bytes > LONGEST_MANIFEST:
                raise self._refusal(digest, repository, "is larger than 4 MiB")
        for digest, mentions in zip(unknown, self._objects.each(partial(self._read, repository), unknown), strict=True):
            self._cache.add(digest, mentions)
            known[digest] = mentions
        self._advance(len(known))
        return filter(None, known.values())

    def _read(self, repository: str, digest: bytes) -> Mentions:
        return read_mentions(self._checked(digest, self._objects.read(blob_key(unpacked(digest))), repository))

    def _checked(self, digest: bytes, content: bytes | None, repository: str) -> bytes:
        """Return the bytes of a manifest. Raises CollectionFailed if they are not those that its digest names."""
        if content is None:
            raise self._refusal(digest, repository, "has no data in the storage")
        if hashlib.new(unpacked(digest).partition(":")[0], content).digest() != digest:
            raise self._refusal(digest, repository, "is damaged: its data does not have its digest")
        return content

    def _refusal(self, digest: bytes, repository: str, damage: str) -> CollectionFailed:
        places = (name for name, stored in self._inventory.repositories.items() if digest in stored.revisions)
        name = repository or next(places, "")
        return CollectionFailed(
            f"the manifest {name}{'@' if name else ''}{unpacked(digest)} {damage}, so the blobs that it needs are "
            "unknown; nothing was deleted: push the image again, or delete the manifest"
        )
