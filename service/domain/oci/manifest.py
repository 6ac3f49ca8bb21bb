"""What a manifest is and what it references: children, subject, layers with their sizes."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFEST_TYPES: tuple[str, ...] = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGE_CONFIG_TYPES = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
# Layers that nobody has to push: the manifest says where they come from (OCI image-spec, non-distributable layers).
FOREIGN_LAYER_TYPES = frozenset(
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}
    | {f"application/vnd.oci.image.layer.nondistributable.v1.tar{packed}" for packed in ("", "+gzip", "+zstd")}
)

_FRACTION = re.compile(r"(\.\d{6})\d+")  # RFC 3339 knows nanoseconds, datetime does not


class UnreadableManifest(ValueError):
    """The bytes are no manifest of a kind we understand: what they hold is not known, so nothing may be deleted."""


@dataclass(frozen=True, slots=True)
class References:
    """What one manifest needs to stay whole.

    children: digests of the manifests an index lists; subject: digest of the manifest this one is about, if any;
    blobs: (digest, size in bytes) of config and layers, without foreign ones. readable: False when it cannot be known
    what it needs. indexes: those of the children that are indexes themselves.
    """

    children: tuple[str, ...] = ()
    subject: str | None = None
    blobs: tuple[tuple[str, int], ...] = ()
    readable: bool = True
    indexes: tuple[str, ...] = ()


def read_references(media_type: str, content: bytes) -> References:
    """What the manifest `content` references.

    Raises UnreadableManifest for another media type or a body that is not what its type says (OCI image-spec 1.1,
    Docker image manifest v2 schema 2).
    """
    if media_type not in MANIFEST_TYPES:
        raise UnreadableManifest(f"media type {media_type[:80]!r} is not one we understand")
    try:
        body = json.loads(content)
        subject = _digest(body["subject"]) if body.get("subject") else None
        if media_type in INDEX_TYPES:
            return _index(body["manifests"] or (), subject)
        blobs = [body["config"], *(body.get("layers") or ())]
        stored = (blob for blob in blobs if blob.get("mediaType") not in FOREIGN_LAYER_TYPES)
        return References(subject=subject, blobs=tuple((_digest(blob), int(blob.get("size", 0))) for blob in stored))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UnreadableManifest(f"the manifest is not what {media_type} says") from error


def media_type_of(content: bytes) -> str | None:
    """The media type that a registry serves these bytes with (Distribution 2.8 and 3); None where it is not certain.

    OCI manifests need not name it: what lists manifests is an index then.
    """
    try:
        body = json.loads(content)
        named, version, is_index = body.get("mediaType", ""), body.get("schemaVersion"), "manifests" in body
    except (ValueError, AttributeError, RecursionError):
        return None
    usual = OCI_INDEX if is_index else OCI_MANIFEST
    fits = named == "" or (named in MANIFEST_TYPES and (named in INDEX_TYPES) == is_index)
    return named or usual if version == 2 and fits and (is_index or "config" in body) else None


def image_config(media_type: str, content: bytes) -> str | None:
    """The digest of the config of an image; None for what is no image: an index, an artifact, what cannot be read."""
    try:
        config = json.loads(content)["config"] if media_type in MANIFEST_TYPES else {}
        return _digest(config) if config.get("mediaType") in IMAGE_CONFIG_TYPES else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def read_created(config: bytes) -> int:
    """When an image was made, in µs since the epoch, from its config (OCI image-spec); 0 where it does not say."""
    try:
        created = datetime.fromisoformat(_FRACTION.sub(r"\1", json.loads(config)["created"]))
        return max(round(created.timestamp() * 1_000_000), 0) if created.tzinfo else 0
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0


def _index(descriptors: Iterable[dict[str, Any]], subject: str | None) -> References:
    children = [(_digest(child), child.get("mediaType")) for child in descriptors]
    indexes = tuple(digest for digest, media_type in children if media_type in INDEX_TYPES)
    return References(children=tuple(digest for digest, _ in children), subject=subject, indexes=indexes)


def _digest(descriptor: dict[str, Any]) -> str:
    digest = descriptor["digest"]
    if not isinstance(digest, str):
        raise TypeError("a digest must be a string")
    return digest
