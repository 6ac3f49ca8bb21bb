"""Read the registry's storage if it is mounted here (layout of the filesystem driver)."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from service.domain.errors import StorageRefused, StorageUnavailable
from service.domain.oci.manifest import media_type_of
from service.domain.oci.names import is_digest, is_tag
from service.registry.address import checked_digest, checked_repository, checked_tag
from service.registry.folder import MISSING, names
from service.registry.manifest import Manifest

_LONGEST_LINK = 256


class ReadableStorage(Protocol):
    """The registry's storage, mounted or in a bucket, for reading only.

    A method whose answer needs a file that exists and cannot be read raises StorageRefused or StorageUnavailable.
    """

    @property
    def name(self) -> str:
        """The folder, or the URL of the bucket."""

    @property
    def is_on_disk(self) -> bool:
        """True if the storage is mounted. Listings of the registry and deletions have faults only over buckets."""

    def digest_of(self, repository: str, tag: str) -> str | None:
        """The digest that a tag points at; None if its link cannot be read."""

    def tags(self, repository: str) -> frozenset[str]:
        """Every tag of a repository that points at a manifest, also those that the registry does not list."""

    def tags_at(self, repository: str, digests: Collection[str]) -> dict[str, str]:
        """Map each tag that points at one of these digests to its digest."""

    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """Return a manifest of this repository, checked against its digest; None if it does not exist."""

    def blob_size(self, digest: str) -> int | None:
        """The size of a blob in bytes; None if the blob does not exist."""

    def blob_sizes(self, digests: Collection[str]) -> Mapping[str, int | None]:
        """Map each of these blobs to its size in bytes; None if the blob does not exist."""

    def blob_us(self, digest: str) -> int | None:
        """The time of a blob's first push, in µs since the epoch; None if the blob does not exist."""

    def layer_us(self, repository: str, digest: str) -> int | None:
        """The time at which a repository's link to a config or layer was last written (µs); None if there is none."""

    def pushed_us(self, repository: str, tag: str) -> int | None:
        """The time of a tag's last push, in µs since the epoch: that of its link."""

    def has_layer(self, repository: str, digest: str) -> bool:
        """True if the repository has a link to this config or layer."""

    def holds_tags(self, repository: str) -> bool:
        """True if the repository ever had a tag."""

    def repositories(self) -> Iterator[str]:
        """Yield every repository."""

    def manifests(self, repository: str) -> Iterator[str]:
        """Yield the digests of all existing manifests, with and without a tag."""


class Storage:
    """The storage under `root`, the registry's `rootdirectory`, for reading only."""

    is_on_disk = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "docker" / "registry" / "v2"

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    def tags(self, repository: str) -> frozenset[str]:
        """Every tag of a repository that points at a manifest."""
        return frozenset(self._digests(repository))

    def digest_of(self, repository: str, tag: str) -> str | None:
        """The digest that a tag points at; None if its link cannot be read."""
        return read_link(self.tag_folder(repository, tag) / "current" / "link")

    def tags_at(self, repository: str, digests: Collection[str]) -> dict[str, str]:
        """Map each tag that points at one of these digests to its digest."""
        return {tag: digest for tag, digest in self._digests(repository).items() if digest in digests}

    def _digests(self, repository: str) -> dict[str, str]:
        """Map each tag that points at a manifest to its digest."""
        with translated_reads():
            tags = filter(is_tag, names(str(self._manifests(repository)), "tags"))
        digests = ((tag, self.digest_of(repository, tag)) for tag in tags)
        return {tag: digest for tag, digest in digests if digest}

    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """Return a manifest of this repository, checked against its digest.

        None if the manifest does not exist, or if the registry might serve it with another media type.
        """
        algorithm, _, hexadecimal = digest.partition(":")
        if algorithm != "sha256" or not is_digest(digest) or read_link(self.revision(repository, digest)) != digest:
            return None
        try:
            content = self._blob_path(digest).read_bytes()
        except OSError:
            return None
        media_type = media_type_of(content)
        if media_type is None or hashlib.sha256(content).hexdigest() != hexadecimal:
            return None
        return Manifest(digest, media_type, content)

    def revision(self, repository: str, digest: str) -> Path:
        """The link that makes a manifest part of a repository."""
        return self._manifests(repository) / "revisions" / checked_digest(digest).replace(":", "/", 1) / "link"

    def blob_size(self, digest: str) -> int | None:
        """The size of a blob in the storage, in bytes; None if the blob does not exist."""
        status = _status(self._blob_path(digest))
        return status.st_size if status else None

    def blob_sizes(self, digests: Collection[str]) -> Mapping[str, int | None]:
        """Map each of these blobs to its size in bytes; None if the blob does not exist."""
        return {digest: self.blob_size(digest) for digest in digests}

    def blob_us(self, digest: str) -> int | None:
        """The time of a blob's first push, in µs since the epoch; None if the blob does not exist."""
        return _modified_us(self._blob_path(digest))

    def holds_tags(self, repository: str) -> bool:
        """True if the repository ever had a tag."""
        return _status(self._manifests(repository) / "tags") is not None

    def repository_folder(self, repository: str) -> Path:
        """The folder of a repository. Raises ValueError for a name that is not a repository."""
        return self.base / "repositories" / checked_repository(repository)

    def tag_folder(self, repository: str, tag: str) -> Path:
        """The folder of a tag. Raises ValueError for a name that is not a tag: its path could leave the repository."""
        return self.tags_folder(repository) / checked_tag(tag)

    def tags_folder(self, repository: str) -> Path:
        """The folder with the tags of a repository."""
        return self._manifests(repository) / "tags"

    def _blob_path(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.base / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def _manifests(self, repository: str) -> Path:
        return self.repository_folder(repository) / "_manifests"

    def pushed_us(self, repository: str, tag: str) -> int | None:
        """The time of a tag's last push, in µs since the epoch: the mtime of its link, right within milliseconds."""
        return _modified_us(self.tag_folder(repository, tag) / "current" / "link")

    def repositories(self) -> Iterator[str]:
        """Yield every repository, found by its folder."""
        root = self.base / "repositories"
        with translated_reads():
            for folder, inner, _ in os.walk(root, onerror=_raise_unless_missing):
                if any(name.startswith("_") for name in inner):
                    yield str(Path(folder).relative_to(root))
                # No part of a repository's name begins with `_`; such folders belong to the registry.
                inner[:] = [name for name in inner if not name.startswith("_")]

    def manifests(self, repository: str) -> Iterator[str]:
        """Yield the digests of all existing manifests, with and without a tag. A collector must mark each of them."""
        revisions = str(self._manifests(repository) / "revisions")
        with translated_reads():
            for algorithm in names(revisions, ""):
                for hexadecimal in names(revisions, algorithm):
                    link, digest = Path(revisions, algorithm, hexadecimal, "link"), f"{algorithm}:{hexadecimal}"
                    if _status(link) and self.blob_size(digest):
                        yield digest

    def has_layer(self, repository: str, digest: str) -> bool:
        """True if the repository has a link to this config or layer."""
        return _status(self._layer(repository, digest)) is not None

    def layer_us(self, repository: str, digest: str) -> int | None:
        """The time at which a repository's link to a config or layer was last written, in µs since the epoch.

        Every upload and every mount writes this link, even if the blob itself is old. None if there is no link.
        """
        return _modified_us(self._layer(repository, digest))

    def _layer(self, repository: str, digest: str) -> Path:
        return self.base / "repositories" / repository / "_layers" / digest.replace(":", "/", 1) / "link"

    def is_empty(self) -> bool:
        """True if nothing was ever pushed; garbage-collect then ends with exit code 1."""
        return _status(self.base / "repositories") is None


def _modified_us(file: Path) -> int | None:
    status = _status(file)
    return status.st_mtime_ns // 1000 if status else None


def _status(file: Path) -> os.stat_result | None:
    with translated_reads():
        try:
            return file.stat()
        except MISSING:
            return None


@contextmanager
def translated_reads() -> Iterator[None]:
    """Translate an error of the disk in the block into the error that a bucket would raise.

    Only what is certainly missing counts as missing: deletions and collections rely on what exists.
    """
    try:
        yield
    except PermissionError as error:
        raise StorageRefused(
            f"the storage cannot be read: user {os.geteuid()}, as whom pushprune runs, has no right to read "
            f"{error.filename}: run pushprune as the registry's user"
        ) from error
    except OSError as error:
        raise StorageUnavailable(f"the storage cannot be read: {error.strerror}: {error.filename}") from error


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, MISSING):
        raise error


def read_link(link: Path) -> str | None:
    """The digest in a link; None if the link cannot be read, or is not completely written yet."""
    try:
        with link.open("rb") as file:
            text = file.read(_LONGEST_LINK).decode("ascii", "replace")
    except OSError:
        return None
    return text if is_digest(text) else None
