"""Read the registry's storage if it is a bucket: as `Storage` reads a mounted one, with one request for each answer."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from service.domain.oci.manifest import media_type_of
from service.domain.oci.names import is_digest, is_tag
from service.registry import layout
from service.registry.manifest import Manifest

if TYPE_CHECKING:
    # The extra `storage` may not be installed.
    from service.registry.objects import ObjectStore, StoredObject

_PARALLEL = 16
_AT_ONCE = 1000


class BucketStorage:
    """The storage in a bucket, for reading only. Every method raises StorageUnavailable or StorageRefused."""

    is_on_disk = False

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    @property
    def name(self) -> str:
        """The URL of the bucket."""
        return self.objects.name

    def digest_of(self, repository: str, tag: str) -> str | None:
        """The digest that a tag points at; None if it has no link, or none that can be read."""
        return digest_in(self.objects.read(layout.current_key(repository, tag)))

    def tags(self, repository: str) -> frozenset[str]:
        """Every tag of a repository that points at a manifest, also those that the registry does not list."""
        listed = self.objects.list(layout.tags_key(repository))
        places = filter(None, (layout.parse(stored.key) for stored in listed))
        return frozenset(place.name for place in places if place.kind is layout.StoredKind.CURRENT)

    def tags_at(self, repository: str, digests: Collection[str]) -> dict[str, str]:
        """Map each tag that points at one of these digests to its digest."""
        keys = {layout.current_key(repository, tag): tag for tag in self.tags(repository) if is_tag(tag)}
        digests_of = {keys[key]: digest_in(content) for key, content in self.objects.read_many(keys).items()}
        return {tag: digest for tag, digest in digests_of.items() if digest and digest in digests}

    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """Return a manifest of this repository, checked against its digest.

        None if the manifest does not exist, or if the registry might serve it with another media type.
        """
        algorithm, _, hexadecimal = digest.partition(":")
        if algorithm != "sha256" or not is_digest(digest):
            return None
        if digest_in(self.objects.read(layout.revision_key(repository, digest))) != digest:
            return None
        content = self.objects.read(layout.blob_key(digest))
        media_type = media_type_of(content) if content else None
        if content is None or media_type is None or hashlib.sha256(content).hexdigest() != hexadecimal:
            return None
        return Manifest(digest, media_type, content)

    def blob_size(self, digest: str) -> int | None:
        """The size of a blob in bytes; None if the blob does not exist."""
        blob = self.objects.head(layout.blob_key(digest))
        return blob.size_bytes if blob else None

    def blob_sizes(self, digests: Collection[str]) -> Mapping[str, int | None]:
        """Map each of these blobs to its size in bytes; None if the blob does not exist."""
        heads = self._heads({digest: layout.blob_key(digest) for digest in digests})
        return {digest: blob.size_bytes if blob else None for digest, blob in heads.items()}

    def blob_us(self, digest: str) -> int | None:
        """The time of a blob's first push, in µs since the epoch; None if the blob does not exist."""
        return self._modified_us(layout.blob_key(digest))

    def layer_us(self, repository: str, digest: str) -> int | None:
        """The time at which a repository's link to a config or layer was last written (µs); None if there is none."""
        return self._modified_us(layout.layer_key(repository, digest))

    def pushed_us(self, repository: str, tag: str) -> int | None:
        """The time of a tag's last push (µs): that of its link, which S3 rounds down to a whole second."""
        return self._modified_us(layout.current_key(repository, tag))

    def has_layer(self, repository: str, digest: str) -> bool:
        """True if the repository has a link to this config or layer."""
        return self.objects.head(layout.layer_key(repository, digest)) is not None

    def holds_tags(self, repository: str) -> bool:
        """True if the repository has a tag, or remains of one."""
        return next(self.objects.list(layout.tags_key(repository)), None) is not None

    def repositories(self) -> Iterator[str]:
        """Yield every repository, found by its folders. One request for each folder."""
        folders = [layout.REPOSITORIES]
        while folders:
            folder = folders.pop()
            inner = self.objects.folders(folder)
            below = [place for place in inner if not place.rpartition("/")[2].startswith("_")]
            if len(below) < len(inner):
                yield folder.removeprefix(f"{layout.REPOSITORIES}/")
            folders += below

    def manifests(self, repository: str) -> Iterator[str]:
        """Yield the digests of all existing manifests, with and without a tag. A collector must mark each of them."""
        listed = self.objects.list(layout.revisions_key(repository))
        places = filter(None, (layout.parse(stored.key) for stored in listed))
        digests = (layout.unpacked(place.digest) for place in places if place.kind is layout.StoredKind.REVISION)
        while page := list(islice(digests, _AT_ONCE)):
            yield from (digest for digest, size in self.blob_sizes(page).items() if size)

    def _modified_us(self, key: str) -> int | None:
        stored = self.objects.head(key)
        return stored.modified_us if stored else None

    def _heads(self, keys: Mapping[str, str]) -> Mapping[str, StoredObject | None]:
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="objects") as pool:
            return dict(zip(keys, pool.map(self.objects.head, keys.values()), strict=True))


def digest_in(content: bytes | None) -> str | None:
    """The digest in a link; None if the link does not exist, or holds something else."""
    text = content.decode("ascii", "replace") if content else ""
    return text if is_digest(text) else None
