"""The filesystem driver's layout, where the registry's storage is mounted here."""

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from service.domain.oci.manifest import media_type_of
from service.domain.oci.names import is_digest, is_tag
from service.registry.address import checked_digest, checked_repository, checked_tag
from service.registry.client import Manifest

_LONGEST_LINK = 256


class Storage:
    """Reads the storage under `root`, the registry's `rootdirectory`. It never writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "docker" / "registry" / "v2"

    def standing(self, repository: str, tag: str) -> str | None:
        """The digest that a tag stands at; None where its link cannot be read."""
        return read_link(self.tag_folder(repository, tag) / "current" / "link")

    def tags_at(self, repository: str, digests: Collection[str]) -> dict[str, str]:
        """The tags that stand at one of these digests, each with its own."""
        try:
            names = filter(is_tag, os.listdir(self.tags_folder(repository)))
        except FileNotFoundError:
            return {}
        standings = ((tag, self.standing(repository, tag)) for tag in names)
        return {tag: digest for tag, digest in standings if digest and digest in digests}

    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """A manifest of this repository; its digest proves the bytes.

        None where it is not there, or the registry would perhaps not serve it as just this.
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
        """The link by which a repository has a manifest."""
        return self._manifests(repository) / "revisions" / checked_digest(digest).replace(":", "/", 1) / "link"

    def blob_size(self, digest: str) -> int | None:
        """Bytes on disk of a blob, or None when it is not there."""
        found = self._blob(digest)
        return found.st_size if found else None

    def blob_us(self, digest: str) -> int | None:
        """When a blob was first pushed, in µs since the epoch, or None when it is not there."""
        found = self._blob(digest)
        return found.st_mtime_ns // 1000 if found else None

    def _blob(self, digest: str) -> os.stat_result | None:
        try:
            return self._blob_path(digest).stat()
        except OSError:
            return None

    def holds_tags(self, repository: str) -> bool:
        """Whether anything was ever tagged in a repository."""
        return (self._manifests(repository) / "tags").is_dir()

    def repository_folder(self, repository: str) -> Path:
        return self.base / "repositories" / checked_repository(repository)

    def tag_folder(self, repository: str, tag: str) -> Path:
        """The folder of a tag. Raises ValueError for what is no tag: it could lead out of its repository."""
        return self.tags_folder(repository) / checked_tag(tag)

    def tags_folder(self, repository: str) -> Path:
        return self._manifests(repository) / "tags"

    def _blob_path(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.base / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def _manifests(self, repository: str) -> Path:
        return self.repository_folder(repository) / "_manifests"

    def pushed_us(self, repository: str, tag: str) -> int | None:
        """When a tag was last pushed, in µs since the epoch: the link's mtime (FACTS: within milliseconds)."""
        link = self.tag_folder(repository, tag) / "current" / "link"
        try:
            return link.stat().st_mtime_ns // 1000
        except OSError:
            return None

    def repositories(self) -> Iterator[str]:
        """Every repository, by its folder; none where nothing was ever pushed."""
        root = self.base / "repositories"
        for folder, inner, _ in os.walk(root):
            if any(name.startswith("_") for name in inner):
                yield str(Path(folder).relative_to(root))
            inner[:] = [name for name in inner if not name.startswith("_")]

    def manifests(self, repository: str) -> Iterator[str]:
        """The digests of all manifests that can be reached, with and without a tag: each is to be marked."""
        for link in (self._manifests(repository) / "revisions").glob("*/*/link"):
            digest = f"{link.parent.parent.name}:{link.parent.name}"
            if self.blob_size(digest):
                yield digest

    def has_layer(self, repository: str, digest: str) -> bool:
        """Whether the repository has a link to this config or layer."""
        return self._layer(repository, digest).exists()

    def layer_us(self, repository: str, digest: str) -> int | None:
        """When a repository last got its link to a config or layer, in µs since the epoch; None if it has none.

        Every upload and every mount writes this link, also where the blob itself is old.
        """
        try:
            return self._layer(repository, digest).stat().st_mtime_ns // 1000
        except OSError:
            return None

    def _layer(self, repository: str, digest: str) -> Path:
        return self.base / "repositories" / repository / "_layers" / digest.replace(":", "/", 1) / "link"

    def is_empty(self) -> bool:
        """Whether nothing was ever pushed: garbage-collect then exits 1 (FACTS)."""
        return not (self.base / "repositories").exists()


def read_link(link: Path) -> str | None:
    """The digest in a link; None where it cannot be read, or is not written to its end."""
    try:
        with link.open("rb") as file:
            text = file.read(_LONGEST_LINK).decode("ascii", "replace")
    except OSError:
        return None
    return text if is_digest(text) else None
