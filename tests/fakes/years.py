"""Fill the storage of a registry as years of pushes would have, without a push and without notifications."""

from collections.abc import Mapping
from pathlib import Path

from service.registry.layout import blob_key, current_key, index_key, layer_key, revision_key
from tests.fakes.images import Image, make_image, sha256, variant
from tests.fakes.registry_disk import write


def fill(storage: Path, repositories: int, tags: int) -> Mapping[str, Mapping[str, str]]:
    """Write repositories with so many tags, each with a manifest of its own; return repository → tag → digest."""
    base = make_image("years", layer_bytes=50)
    for blob in base.blobs:
        write(storage / blob_key(sha256(blob)), blob)
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
    digest = image.digest
    write(storage / blob_key(digest), image.manifest)
    for key in (revision_key(repository, digest), current_key(repository, tag), index_key(repository, tag, digest)):
        write(storage / key, digest.encode())
    for blob in map(sha256, image.blobs):
        link = storage / layer_key(repository, blob)
        if not link.exists():
            write(link, blob.encode())
