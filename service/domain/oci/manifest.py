"""The kinds of manifests and their references: children, subject, layers with their sizes."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.oci.names import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFEST_TYPES: tuple[str, ...] = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGE_CONFIG_TYPES = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
# Layers that clients need not push: the manifest says where to fetch them (OCI image-spec, non-distributable layers).
FOREIGN_LAYER_TYPES = frozenset(
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}
    | {f"application/vnd.oci.image.layer.nondistributable.v1.tar{packed}" for packed in ("", "+gzip", "+zstd")}
)

# The registry is written in Go, whose JSON reader takes "DIGEST" for "digest", and the last of the two.
_FIELDS = {
    name.casefold(): name
    for name in ("config", "digest", "layers", "manifests", "mediaType", "schemaVersion", "size", "subject", "urls")
}
# Lua and JSON have no larger exact integer.
_SIZE_LIMIT = 2**53
# RFC 3339 allows nanoseconds, datetime only microseconds.
_FRACTION = re.compile(r"(\.\d{6})\d+")


class UnreadableManifest(ValueError):
    """The bytes are no manifest of a known kind. Their references are unknown, so nothing may be deleted."""


@dataclass(frozen=True, slots=True)
class References:
    """The manifests and blobs that one manifest needs to be complete.

    Attributes:
        children: digests of the manifests that an index lists.
        subject: digest of the manifest that this manifest is about, or None.
        blobs: (digest, size in bytes) of config and layers, without foreign layers.
        readable: False if the manifest cannot be read, so that its references are unknown.
        indexes: the children that are indexes themselves.
    """

    children: tuple[str, ...] = ()
    subject: str | None = None
    blobs: tuple[tuple[str, int], ...] = ()
    readable: bool = True
    indexes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The size of an image, as `blobs_size` defines it; 0 for an index, whose size is that of its parts."""
        return blobs_size(self.blobs)


def blobs_size(blobs: Iterable[tuple[str, int]]) -> int:
    """Return the size of an image: of its config and layers, each counted once. 0 if that is not known.

    Args:
        blobs: (digest, size in bytes) of config and layers.
    """
    sizes = dict(blobs).values()
    size_bytes = sum(sizes)
    return size_bytes if all(size >= 0 for size in sizes) and size_bytes < _SIZE_LIMIT else 0


def read_references(media_type: str, content: bytes) -> References:
    """Return the references of the manifest `content` (OCI image-spec 1.1, Docker image manifest v2 schema 2).

    Raises:
        UnreadableManifest: the media type is not known, or the content does not match it.
    """
    if media_type not in MANIFEST_TYPES:
        raise UnreadableManifest(f"media type {media_type[:80]!r} is not known to pushprune")
    try:
        body = _unambiguous(json.loads(content))
        subject = _digest(_unambiguous(body["subject"])) if body.get("subject") else None
        if media_type in INDEX_TYPES:
            return _index(map(_unambiguous, body["manifests"] or ()), subject)
        blobs = [_unambiguous(blob) for blob in (body["config"], *(body.get("layers") or ()))]
        stored = (blob for blob in blobs if blob.get("mediaType") not in FOREIGN_LAYER_TYPES)
        return References(subject=subject, blobs=tuple((_digest(blob), int(blob.get("size", 0))) for blob in stored))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UnreadableManifest(f"the manifest is not what {media_type} says") from error


def references_of(media_type: str, content: bytes) -> References:
    """Return the references of a manifest as far as it can be read: if not, none, and `readable` is False."""
    try:
        return read_references(media_type, content)
    except UnreadableManifest:
        return References(readable=False)


def media_type_of(content: bytes) -> str | None:
    """Return the media type with which Distribution 2.8 and 3 serve these bytes; None if it is not certain."""
    try:
        body = json.loads(content)
        named, version, is_index = body.get("mediaType", ""), body.get("schemaVersion"), "manifests" in body
    except (ValueError, AttributeError, RecursionError):
        return None
    # An OCI manifest need not name its media type. Then a manifest that lists manifests is an index.
    usual = OCI_INDEX if is_index else OCI_MANIFEST
    fits = named == "" or (named in MANIFEST_TYPES and (named in INDEX_TYPES) == is_index)
    return named or usual if version == 2 and fits and (is_index or "config" in body) else None


def image_config(media_type: str, content: bytes) -> str | None:
    """Return the digest of an image's config; None for an index, an artifact and a manifest that cannot be read."""
    try:
        config = json.loads(content)["config"] if media_type in MANIFEST_TYPES else {}
        return _digest(config) if config.get("mediaType") in IMAGE_CONFIG_TYPES else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def read_created(config: bytes) -> int:
    """Return the creation time in an image's config (OCI image-spec), in µs since the epoch; 0 if it has none."""
    try:
        created = datetime.fromisoformat(_FRACTION.sub(r"\1", json.loads(config)["created"]))
        return max(round(created.timestamp() * 1_000_000), 0) if created.tzinfo else 0
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0


def _unambiguous(part: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest or a descriptor. Raises ValueError if the registry may read another field than pushprune."""
    for name in part:
        if _FIELDS.get(name.casefold(), name) != name:
            raise ValueError(f"{name!r} is not how the field is written")
    return part


def _index(descriptors: Iterable[dict[str, Any]], subject: str | None) -> References:
    children = [(_digest(child), child.get("mediaType")) for child in descriptors]
    indexes = tuple(digest for digest, media_type in children if media_type in INDEX_TYPES)
    return References(children=tuple(digest for digest, _ in children), subject=subject, indexes=indexes)


def _digest(descriptor: dict[str, Any]) -> str:
    digest = descriptor["digest"]
    # Distribution 2.8 does not check a subject, so a pusher may write any text in its place.
    if not is_digest(digest):
        raise ValueError("this is not a digest")
    return str(digest)
