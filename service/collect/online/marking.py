"""Mark what must be kept: every digest that any manifest in the storage mentions."""

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from service.domain.collection.digests import Marks, is_packable, packed, unpacked
from service.domain.collection.mentions import LONGEST_MANIFEST, Mentions, read_mentions
from service.domain.collection.storage_inventory import StorageInventory
from service.domain.errors import CollectionFailed
from service.registry.layout import blob_key, key_of_link
from service.registry.mention_cache import MentionTable
from service.registry.objects import ObjectStore
from service.store.chunks import chunks

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
        mentions: MentionTable,
        advance: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Prepare.

        Args:
            objects: the storage.
            inventory: of the storage, with the digests of `mentions`.
            mentions: those that are known already. Others are added.
            advance: called with the number of manifests whose mentions have become known.
        """
        if mentions.digests is not inventory.digests:
            raise ValueError("the inventory and the mentions number digests differently")
        self._objects, self._inventory, self._known, self._advance = objects, inventory, mentions, advance
        self._digests = inventory.digests
        self.marks = Marks(self._digests)

    def mark(self, held: Collection[bytes] = (), contents: Iterable[bytes] = ()) -> None:
        """Mark all manifests of all repositories and what they mention; likewise of each part that is a manifest.

        Args:
            held: packed digests that are kept for another reason.
            contents: bytes of manifests that are not in the storage, and whose blobs are kept.

        Raises:
            CollectionFailed: a manifest or a link is missing, damaged or too large, so that its blobs are not known.
            StorageUnavailable, StorageRefused: the storage cannot be read.
        """
        self._mark_renamed()
        self._mark_inexplicable()
        stored = self._inventory.repositories.values()
        self._follow(self._digests.add(digest) for each in stored for digest in each.revisions)
        self.marks.update(held)
        parts = set(map(self._digests.add, held))
        for mentions in map(read_mentions, contents):
            self.marks.update(mentions.digests)
            parts.update(map(self._digests.add, mentions.parts))
        self._follow(filter(self._may_be_manifest, parts))

    def unknown_manifests(self) -> tuple[str, ...]:
        """The manifests of Docker schema 1 and of formats that are not known here, as repository@digest."""
        known = ((name, digest) for name, stored in self._inventory.repositories.items() for digest in stored.revisions)
        read = ((name, digest, self._known.get(self._digests.add(digest))) for name, digest in known)
        return tuple(f"{name}@{unpacked(digest)}" for name, digest, each in read if each and not each.is_known)

    def everything_of(self, manifest: bytes) -> frozenset[bytes]:
        """The digests that a manifest and its parts mention, as far as they were marked."""
        return frozenset(map(self._digests.__getitem__, self.numbers_of(self._digests.add(manifest))))

    def numbers_of(self, manifest: int) -> set[int]:
        """The numbers of `everything_of` the manifest of this number."""
        numbers, todo = set[int](), {manifest}
        while todo:
            if mentions := self._known.get(todo.pop()):
                todo.update(number for number in mentions.parts if number not in numbers)
                numbers.update(mentions.digests)
        return numbers

    def learn(self, digest: bytes, content: bytes | None) -> None:
        """Learn the bytes of a manifest, or of another blob, that is not at its place."""
        self._known.add(self._digests.add(digest), read_mentions(self._checked(digest, content, "")))

    def read(self, repository: str, manifests: Iterable[bytes]) -> None:
        """Read manifests of a repository that were pushed after the inventory, with their parts."""
        self._follow(map(self._digests.add, manifests), repository)

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

    def _follow(self, manifests: Iterable[int], repository: str = "") -> None:
        """Mark these manifests, the digests that the manifests mention, and so on to any depth.

        Args:
            manifests: the numbers of their digests.
            repository: of the manifests, if the inventory may not know them.
        """
        seen, todo = Marks(self._digests), array("i", manifests)
        while todo:
            parts = set[int]()
            for part in chunks(todo, _AT_ONCE):
                new = [each for each in dict.fromkeys(part) if not seen.has_number(each)]
                seen.add_numbers(new)
                self.marks.add_numbers(new)
                self._read_unknown(new, repository)
                for mentions in filter(None, map(self._known.get, new)):
                    self.marks.add_numbers(mentions.digests)
                    parts.update(mentions.parts)
            todo = array("i", (part for part in parts if not seen.has_number(part) and self._may_be_manifest(part)))

    def _may_be_manifest(self, number: int) -> bool:
        """True if the storage has data of this digest that is small enough for a manifest."""
        size_bytes = self._inventory.size_of(number)
        return size_bytes is not None and size_bytes <= LONGEST_MANIFEST

    def _read_unknown(self, manifests: Sequence[int], repository: str) -> None:
        """Read those of these manifests whose mentions are not known."""
        unknown = [number for number in manifests if self._known.get(number) is None]
        digests = [self._digests[number] for number in unknown]
        for number, digest in zip(unknown, digests, strict=True):
            if (self._inventory.size_of(number) or 0) > LONGEST_MANIFEST:
                raise self._refusal(digest, repository, "is larger than 4 MiB")
        for number, mentions in zip(unknown, self._objects.each(partial(self._read, repository), digests), strict=True):
            self._known.add(number, mentions)
        self._advance(len(manifests))

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
