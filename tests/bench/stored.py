"""A registry's storage that was there before: images that stand, and images whose manifests were deleted."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from service.registry.layout import blob_key, current_key, index_key, layer_key, revision_key
from tests.fakes.images import Image, make_image, sha256
from tests.fakes.slow_s3 import SlowObject

# Of the layers: a base image, packages, an application.
SIZES = (30_000_000, 6_000_000, 400_000)
REPOSITORIES = 20
# A config, the layers and the manifest.
BLOBS_PER_IMAGE = len(SIZES) + 2
AGE_S = 2 * 86_400


def _objects(standing: int, deleted: int) -> Iterator[tuple[str, bytes, int | None]]:
    """Yield (key, content, size in bytes) of each object in the storage.

    A deleted image lacks only the link of its manifest. The content of a layer is shorter than its size: nobody reads
    it.
    """
    for number in range(standing + deleted):
        image, repository = make_image(f"stored {number}", layers=len(SIZES)), f"team/app-{number % REPOSITORIES:02}"
        yield from _blobs(repository, image)
        if number < standing:
            yield from _links(repository, f"v{number}", image)


def _blobs(repository: str, image: Image) -> Iterator[tuple[str, bytes, int | None]]:
    yield blob_key(image.digest), image.manifest, None
    for content, size in zip(image.blobs, (None, *SIZES), strict=True):
        digest = sha256(content)
        yield blob_key(digest), content, size
        yield layer_key(repository, digest), digest.encode(), None


def _links(repository: str, tag: str, image: Image) -> Iterator[tuple[str, bytes, int | None]]:
    for key in (revision_key(repository, image.digest), current_key(repository, tag)):
        yield key, image.digest.encode(), None
    yield index_key(repository, tag, image.digest), image.digest.encode(), None


def in_a_bucket(standing: int, deleted: int) -> dict[str, SlowObject]:
    """The storage as objects of a slow server."""
    at_s = time.time() - AGE_S
    return {key: SlowObject(content, at_s, size) for key, content, size in _objects(standing, deleted)}


def on_disk(root: Path, standing: int, deleted: int) -> None:
    """Write the storage below a folder."""
    at_s = time.time() - AGE_S
    for key, content, size in _objects(standing, deleted):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if size:
            os.truncate(path, size)
        os.utime(path, (at_s, at_s))
