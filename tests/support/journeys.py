"""Makers for tests of journeys."""

import json
from pathlib import Path

from tests.fakes.images import Image, sha256


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
