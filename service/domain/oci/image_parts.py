"""The parts that a manifest lists: config and layers of an image, or the images of an index with their platforms."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service.domain.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from service.domain.oci.names import is_digest
from service.domain.oci.platform import platform_name

_MOST = 200
_LONGEST = 128

PartKind = Literal["config", "layer", "manifest"]


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A config, a layer, or a manifest of an index.

    Attributes:
        size_bytes: as the manifest states it; of a manifest, without its layers.
        platform: of a manifest, such as linux/arm64; "" if none is named.
    """

    kind: PartKind
    digest: str
    size_bytes: int
    media_type: str
    platform: str = ""


def image_parts(media_type: str, content: bytes) -> tuple[ImagePart, ...]:
    """Return the parts of a manifest in its order, 200 at most; () if it cannot be read."""
    if media_type not in MANIFEST_TYPES:
        return ()
    try:
        body = json.loads(content)
        if media_type in INDEX_TYPES:
            parts = _parts("manifest", body["manifests"] or ())
        else:
            configs = [body["config"]] if body.get("config") else []
            parts = (*_parts("config", configs), *_parts("layer", body.get("layers") or ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return parts[:_MOST]


def _parts(kind: PartKind, descriptors: Iterable[Mapping[str, Any]]) -> tuple[ImagePart, ...]:
    return tuple(
        ImagePart(
            kind,
            descriptor["digest"],
            int(descriptor["size"]),
            str(descriptor.get("mediaType") or "")[:_LONGEST],
            platform_name(descriptor.get("platform") or {}),
        )
        for descriptor in descriptors
        if is_digest(descriptor["digest"])
    )
