"""The registry's storage on disk, as a test fills it: links, blobs and uploads."""

import os
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


NOW_S = 1_700_000_000.0


DAY_S = 86_400.0


def upload(root: Path, repository: str, name: str, age_s: float, size: int) -> Path:
    folder = root / "docker/registry/v2/repositories" / repository / "_uploads" / name
    (folder / "hashstates/sha256").mkdir(parents=True)
    for file, content in (("startedat", b"then"), ("data", b"x" * size), ("hashstates/sha256/0", b"")):
        (folder / file).write_bytes(content)
        os.utime(folder / file, (NOW_S - 10 * DAY_S, NOW_S - 10 * DAY_S))
    os.utime(folder / "data", (NOW_S - age_s, NOW_S - age_s))
    return folder
