"""Makers for tests of storage."""

from pathlib import Path

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


class Disk:
    """A storage in which a test puts links and blobs, as the registry lays them out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "docker/registry/v2"

    def blob(self, digest: str, content: bytes = b"content") -> None:
        hexadecimal = digest.partition(":")[2]
        self._write(self.base / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data", content)

    def manifest(self, repository: str, digest: str) -> None:
        place = self.base / "repositories" / repository / "_manifests/revisions" / digest.replace(":", "/") / "link"
        self._write(place, digest.encode())

    def layer(self, repository: str, digest: str) -> None:
        place = self.base / "repositories" / repository / "_layers" / digest.replace(":", "/") / "link"
        self._write(place, digest.encode())

    def _write(self, place: Path, content: bytes) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
