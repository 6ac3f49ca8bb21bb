"""The filesystem driver's layout, where the registry's storage is mounted here."""

import os
from collections.abc import Iterator
from pathlib import Path


class Storage:
    """Reads the storage under `root`, the registry's `rootdirectory`. It never writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = root / "docker" / "registry" / "v2"

    def blob_size(self, digest: str) -> int | None:
        """Bytes on disk of a blob, or None when it is not there."""
        found = self._blob(digest)
        return found.st_size if found else None

    def blob_us(self, digest: str) -> int | None:
        """When a blob was first pushed, in µs since the epoch, or None when it is not there."""
        found = self._blob(digest)
        return found.st_mtime_ns // 1000 if found else None

    def _blob(self, digest: str) -> os.stat_result | None:
        algorithm, _, hexadecimal = digest.partition(":")
        try:
            return (self._base / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data").stat()
        except OSError:
            return None

    def pushed_us(self, repository: str, tag: str) -> int | None:
        """When a tag was last pushed, in µs since the epoch: the link's mtime (FACTS: within milliseconds)."""
        link = self._base / "repositories" / repository / "_manifests" / "tags" / tag / "current" / "link"
        try:
            return link.stat().st_mtime_ns // 1000
        except OSError:
            return None

    def repositories(self) -> Iterator[str]:
        """Every repository, by its folder; none where nothing was ever pushed."""
        root = self._base / "repositories"
        for folder, inner, _ in os.walk(root):
            if any(name.startswith("_") for name in inner):
                yield str(Path(folder).relative_to(root))
            inner[:] = [name for name in inner if not name.startswith("_")]

    def manifests(self, repository: str) -> Iterator[str]:
        """The digests of all manifests that can be reached, with and without a tag: each is to be marked."""
        for link in (self._base / "repositories" / repository / "_manifests" / "revisions").glob("*/*/link"):
            digest = f"{link.parent.parent.name}:{link.parent.name}"
            if self.blob_size(digest):
                yield digest

    def has_layer(self, repository: str, digest: str) -> bool:
        """Whether the repository has a link to this config or layer."""
        link = digest.replace(":", "/", 1)
        return (self._base / "repositories" / repository / "_layers" / link / "link").exists()

    def is_empty(self) -> bool:
        """Whether nothing was ever pushed: garbage-collect then exits 1 (FACTS)."""
        return not (self._base / "repositories").exists()
