"""Make small images and indexes: the same seed gives the same bytes, and so the same digests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.domain.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

_CONFIG_TYPE = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
_LAYER_TYPE = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
_ARCHITECTURES = ("amd64", "arm64", "arm", "ppc64le", "s390x", "riscv64")


@dataclass(frozen=True)
class Image:
    """A manifest with all that has to be uploaded before it; children: the images an index lists."""

    media_type: str
    manifest: bytes
    blobs: tuple[bytes, ...] = ()
    children: tuple["Image", ...] = ()

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def make_image(
    seed: object,
    *,
    layers: int = 1,
    layer_bytes: int = 200,
    media_type: str = OCI_MANIFEST,
    architecture: str = "amd64",
    created: datetime | None = None,
    dated: bool = True,
    subject: Image | None = None,
) -> Image:
    """An image of its own for every seed.

    Args:
        dated: False for a config that does not say when the image was created.
        subject: the image this one is a referrer of.
    """
    contents = [noise(f"{seed}/{number}", layer_bytes) for number in range(layers)]
    return image_over(contents, seed, media_type, architecture, created, subject, dated=dated)


def image_over(
    contents: Sequence[bytes],
    seed: object,
    media_type: str = OCI_MANIFEST,
    architecture: str = "amd64",
    created: datetime | None = None,
    subject: Image | None = None,
    *,
    dated: bool = True,
) -> Image:
    """An image of these layers, with a config of its own for every seed."""
    at = {"created": (created or CREATED).isoformat()} if dated else {}
    config = _json({"architecture": architecture, "os": "linux", **at, "seed": str(seed)})
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(_CONFIG_TYPE[media_type], config),
        "layers": [_descriptor(_LAYER_TYPE[media_type], content) for content in contents],
    }
    if subject is not None:
        manifest["subject"] = _descriptor(subject.media_type, subject.manifest)
    return Image(media_type, _json(manifest), (config, *contents))


def variant(image: Image, seed: object) -> Image:
    """The same blobs under a manifest of its own for every seed: a push of it is one PUT where they are there."""
    annotations = {"seed": str(seed)}
    return replace(image, manifest=_json({**json.loads(image.manifest), "annotations": annotations}))


def make_index(seed: object, *, platforms: int = 2, media_type: str = OCI_INDEX, layers: int = 1) -> Image:
    """An index over one image per platform; platforms=0 is the empty index that serves as a tombstone."""
    child_type = DOCKER_MANIFEST if media_type == DOCKER_LIST else OCI_MANIFEST
    children = tuple(
        make_image(f"{seed}/{name}", layers=layers, media_type=child_type, architecture=name)
        for name in _ARCHITECTURES[:platforms]
    )
    return index_over(children, media_type=media_type, seed=seed)


def index_over(children: Sequence[Image], *, media_type: str = OCI_INDEX, seed: object = "") -> Image:
    """An index over images that exist already."""
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [
            _descriptor(child.media_type, child.manifest) | {"platform": {"architecture": architecture, "os": "linux"}}
            for child, architecture in zip(children, _ARCHITECTURES, strict=False)
        ],
    }
    if media_type == OCI_INDEX:
        manifest["annotations"] = {"seed": str(seed)}
    return Image(media_type, _json(manifest), children=tuple(children))


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def noise(seed: str, size: int) -> bytes:
    """The same bytes for the same seed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def oci_layout(folder: Path, image: Image) -> Path:
    """Write an image as an OCI layout, the way skopeo reads it."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in (*image.blobs, image.manifest):
        (blobs / sha256(content).removeprefix("sha256:")).write_bytes(content)
    described = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    described["annotations"] = {"org.opencontainers.image.ref.name": "image"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
