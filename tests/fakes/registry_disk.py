"""The tags and manifests of the fake registry in a folder, laid out as the filesystem driver lays them out."""

import shutil
from collections.abc import ItemsView, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.oci.manifest import media_type_of


@dataclass(frozen=True)
class StoredManifest:
    digest: str
    media_type: str
    content: bytes


class TagLinks(MutableMapping[str, str]):
    """tag → digest, read from the disk each time. A tag without a link is listed and points at nothing."""

    def __init__(self, repository: Path) -> None:
        self._tags = repository / "_manifests" / "tags"

    def __getitem__(self, tag: str) -> str:
        try:
            return (self._tags / tag / "current" / "link").read_text()
        except OSError:
            raise KeyError(tag) from None

    def __setitem__(self, tag: str, digest: str) -> None:
        write(self._tags / tag / "index" / digest.replace(":", "/") / "link", digest.encode())
        write(self._tags / tag / "current" / "link", digest.encode())

    def __delitem__(self, tag: str) -> None:
        if tag not in self:
            raise KeyError(tag)
        shutil.rmtree(self._tags / tag)

    def __iter__(self) -> Iterator[str]:
        return iter(self.listed())

    def __len__(self) -> int:
        return len(self.listed())

    def items(self) -> ItemsView[str, str]:
        """The entries whose file exists."""
        return {tag: self[tag] for tag in self.listed() if tag in self}.items()

    def has_folder(self) -> bool:
        """True if tags/list knows the repository."""
        return self._tags.is_dir()

    def listed(self) -> list[str]:
        """Every name in the folder, as tags/list says them."""
        return sorted(entry.name for entry in self._tags.iterdir()) if self._tags.exists() else []


class ManifestLinks(MutableMapping[str, StoredManifest]):
    """digest → manifest. A deleted manifest loses its link; its bytes exist until the next collection."""

    def __init__(self, root: Path, repository: Path) -> None:
        self._blobs, self._revisions = root / "docker/registry/v2/blobs/sha256", repository / "_manifests/revisions"

    def __getitem__(self, digest: str) -> StoredManifest:
        if not self._link(digest).exists():
            raise KeyError(digest)
        content = self._blob(digest).read_bytes()
        media_type = media_type_of(content)
        assert media_type is not None
        return StoredManifest(digest, media_type, content)

    def __setitem__(self, digest: str, manifest: StoredManifest) -> None:
        if not self._blob(digest).exists():
            write(self._blob(digest), manifest.content)
        write(self._link(digest), digest.encode())

    def __delitem__(self, digest: str) -> None:
        if digest not in self:
            raise KeyError(digest)
        self._link(digest).unlink()

    def __iter__(self) -> Iterator[str]:
        result = sorted(self._revisions.glob("sha256/*/link"))
        return iter([f"sha256:{link.parent.name}" for link in result])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _link(self, digest: str) -> Path:
        return self._revisions / digest.replace(":", "/") / "link"

    def _blob(self, digest: str) -> Path:
        hexadecimal = digest.partition(":")[2]
        return self._blobs / hexadecimal[:2] / hexadecimal / "data"


def repository_folder(root: Path, name: str) -> Path:
    return root / "docker/registry/v2/repositories" / name


def write(place: Path, content: bytes) -> None:
    """Write the file in place, as 2.8.3 does."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
