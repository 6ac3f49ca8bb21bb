"""The registry's storage on disk, as a test fills it: links, blobs and uploads."""

import os
from pathlib import Path

from service.registry.layout import blob_key, layer_key, revision_key
from tests.fakes.registry_disk import write

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


class Disk:
    """A storage in which a test puts links and blobs, as the registry lays them out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def blob(self, digest: str, content: bytes = b"content") -> None:
        write(self.root / blob_key(digest), content)

    def manifest(self, repository: str, digest: str) -> None:
        write(self.root / revision_key(repository, digest), digest.encode())

    def layer(self, repository: str, digest: str) -> None:
        write(self.root / layer_key(repository, digest), digest.encode())


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
