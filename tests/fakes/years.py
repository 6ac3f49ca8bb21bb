"""Fill the storage of a registry as years of pushes would have, without a push and without notifications."""

import itertools
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.images import Image, make_image, sha256, variant


def fill(storage: Path, repositories: int, tags: int) -> Mapping[str, Mapping[str, str]]:
    """Write repositories with so many tags, each with a manifest of its own; return repository → tag → digest."""
    base = make_image("years", layer_bytes=50)
    for blob in base.blobs:
        _write(_blob(storage, sha256(blob)), blob)
    filled: dict[str, dict[str, str]] = {}
    for number in range(repositories):
        repository = f"team{number % 10}/app{number}"
        filled[repository] = {}
        for nth in range(tags):
            image = variant(base, f"{repository}:{nth}")
            _add(storage, repository, f"v{nth}", image)
            filled[repository][f"v{nth}"] = image.digest
    return filled


def _add(storage: Path, repository: str, tag: str, image: Image) -> None:
    folder = storage / "docker/registry/v2/repositories" / repository
    digest, path = image.digest.encode(), image.digest.replace(":", "/")
    _write(_blob(storage, image.digest), image.manifest)
    _write(folder / "_manifests/revisions" / path / "link", digest)
    _write(folder / "_manifests/tags" / tag / "current/link", digest)
    _write(folder / "_manifests/tags" / tag / "index" / path / "link", digest)
    for blob in itertools.islice(image.blobs, 2):
        link = folder / "_layers" / sha256(blob).replace(":", "/") / "link"
        if not link.exists():
            _write(link, sha256(blob).encode())


def _blob(storage: Path, digest: str) -> Path:
    hexadecimal = digest.partition(":")[2]
    return storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
