"""The contents of a registry's storage, as one listing found them, compact enough for a million blobs.

A digest has a number. What is known of it, and its links, are numbers in arrays; the links are chained by digest.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from service.domain.collection.digests import DigestTable, Marks
from service.domain.oci.names import is_repository

_MISSING = -1
_NO_LINK = -1


class StoredBlob(NamedTuple):
    """The data of a blob. `modified_us` is the time of its first push: a later upload of it changes nothing."""

    digest: bytes
    size_bytes: int
    modified_us: int


class LayerLink(NamedTuple):
    """A repository's link to a config or layer. Every upload and every mount writes it again, at `modified_us`."""

    repository: str
    digest: bytes
    modified_us: int


@dataclass(frozen=True, slots=True)
class StoredTag:
    """The current link of a tag.

    Attributes:
        pushed_us: the time of the last push: an identical push writes the link again.
        etag: on object storage the MD5 of the link, unless the bucket encrypts with KMS; "" if the storage has none.
    """

    pushed_us: int
    etag: str


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload that has not ended. `written_us` is the time of its last write."""

    size_bytes: int
    written_us: int


class StoredRepository:
    """The manifests, tags and uploads of one repository.

    Attributes:
        revisions: the packed digests of its manifests, with the times of their first pushes.
        tags: the tags by name, with their current links.
        indexes: by tag the packed digests that it ever pointed at, with the times of these links.
        uploads: by id.
    """

    def __init__(self) -> None:
        self.revisions: dict[bytes, int] = {}
        self.tags: dict[str, StoredTag] = {}
        self.indexes: dict[str, dict[bytes, int]] = {}
        self.uploads: dict[str, StoredUpload] = {}

    @property
    def remnants(self) -> frozenset[str]:
        """The tags without a current link, of which only old links are left."""
        return frozenset(self.indexes.keys() - self.tags.keys())

    def forget_sound_tags(self) -> None:
        """Forget the tags that only ever pointed at manifests of the repository: they cannot dangle."""
        # A tag has an index link to every manifest that it ever pointed at.
        self.indexes = {tag: known for tag, known in self.indexes.items() if known.keys() - self.revisions.keys()}
        self.tags = {tag: link for tag, link in self.tags.items() if tag in self.indexes}

    def add_upload_part(self, id: str, size_bytes: int, written_us: int) -> None:
        """Add an object of an upload."""
        known = self.uploads.get(id, StoredUpload(0, 0))
        self.uploads[id] = StoredUpload(known.size_bytes + size_bytes, max(known.written_us, written_us))


class StorageInventory:
    """The blobs, links, manifests, tags and uploads of a storage. Times are those of the storage's clock, in µs.

    A listing is no snapshot: what is written while it runs may or may not be in it. Tags are listed only in buckets.

    Attributes:
        began_us: the storage's clock right before the listing began.
        digests: the numbers of digests, of which the inventory may have only some.
        unknown_revisions: the keys of links to manifests that cannot be understood.
        signatures: the packed digests of the signatures of manifests of Docker schema 1.
    """

    def __init__(self, began_us: int, digests: DigestTable | None = None) -> None:
        """Begin an empty inventory. digests: a table to use, which other inventories and the marks may use, too."""
        self.began_us, self.digests = began_us, DigestTable() if digests is None else digests
        self.unknown_revisions: list[str] = []
        self.signatures: set[bytes] = set()
        self._repositories: dict[str, StoredRepository] = {}
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        # One entry for each digest of the table, up to the last one that has data or a layer link.
        count = len(self.digests)
        self._sizes = array("q", [_MISSING]) * count
        self._modified = array("q", [0]) * count
        self._first_links = array("i", [_NO_LINK]) * count
        # One entry for each layer link. The links of a digest form a chain that begins at its first link.
        self._link_repositories = array("i")
        self._link_digests = array("i")
        self._link_times = array("q")
        self._next_links = array("i")

    def add_blob(self, digest: bytes, size_bytes: int, modified_us: int) -> None:
        """Add the data of a blob."""
        number = self._number(digest)
        self._sizes[number], self._modified[number] = size_bytes, modified_us

    def add_layer_link(self, repository: str, digest: bytes, modified_us: int) -> None:
        """Add a repository's link to a config or layer."""
        number = self._number(digest)
        self._next_links.append(self._first_links[number])
        self._first_links[number] = len(self._link_times)
        self._link_repositories.append(self._repository_number(repository))
        self._link_digests.append(number)
        self._link_times.append(modified_us)

    def repository_of(self, name: str) -> StoredRepository:
        """Return the contents of a repository, which is added if it is new."""
        if name not in self._repositories:
            self._repositories[name] = StoredRepository()
        return self._repositories[name]

    @property
    def repositories(self) -> Mapping[str, StoredRepository]:
        """Every repository that has a manifest, tag or upload, by name."""
        return MappingProxyType(self._repositories)

    def blobs(self, besides: Marks | None = None) -> Iterator[StoredBlob]:
        """Yield every blob that has data. besides: leave out those with a mark, in the same table."""
        for number, size_bytes in enumerate(self._sizes):
            if size_bytes != _MISSING and (besides is None or not besides.has_number(number)):
                yield StoredBlob(self.digests[number], size_bytes, self._modified[number])

    def blob(self, digest: bytes) -> StoredBlob | None:
        """Return a blob; None if it has no data."""
        number = self.digests.number(digest)
        size_bytes = None if number is None else self.size_of(number)
        if number is None or size_bytes is None:
            return None
        return StoredBlob(digest, size_bytes, self._modified[number])

    def size_of(self, number: int) -> int | None:
        """The size of the blob whose digest has this number, in bytes; None if it has no data."""
        return None if number >= len(self._sizes) or self._sizes[number] == _MISSING else self._sizes[number]

    def layer_links(self, digest: bytes) -> Iterator[LayerLink]:
        """Yield the links to a config or layer, of all repositories."""
        number = self.digests.number(digest)
        link = _NO_LINK if number is None or number >= len(self._first_links) else self._first_links[number]
        while link != _NO_LINK:
            yield LayerLink(self._names[self._link_repositories[link]], digest, self._link_times[link])
            link = self._next_links[link]

    def linked_digests(self) -> Iterator[bytes]:
        """Yield every digest that has a layer link, with or without data."""
        for number, link in enumerate(self._first_links):
            if link != _NO_LINK:
                yield self.digests[number]

    def links_by_repository(self) -> Iterator[tuple[str, Sequence[int]]]:
        """Yield each repository that has layer links, with the numbers of the links."""
        links: dict[int, array[int]] = {}
        for link, repository in enumerate(self._link_repositories):
            links.setdefault(repository, array("i")).append(link)
        for repository, own in links.items():
            yield self._names[repository], own

    def linked_number(self, link: int) -> int:
        """The number of the digest of a link."""
        return self._link_digests[link]

    def link(self, number: int) -> LayerLink:
        """The link of a number."""
        name = self._names[self._link_repositories[number]]
        return LayerLink(name, self.digests[self._link_digests[number]], self._link_times[number])

    @property
    def names(self) -> frozenset[str]:
        """Every repository that has an object."""
        return frozenset(self._repositories).union(self._names)

    @property
    def strange_folders(self) -> frozenset[str]:
        """The folders with manifests, tags, uploads or layer links whose names are no names of repositories."""
        return frozenset(name for name in self.names if not is_repository(name))

    @property
    def counts(self) -> tuple[int, int]:
        """The number of blobs and their bytes."""
        sizes = [size for size in self._sizes if size != _MISSING]
        return len(sizes), sum(sizes)

    def _number(self, digest: bytes) -> int:
        number = self.digests.add(digest)
        while number >= len(self._sizes):
            self._sizes.append(_MISSING)
            self._modified.append(0)
            self._first_links.append(_NO_LINK)
        return number

    def _repository_number(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        return number
