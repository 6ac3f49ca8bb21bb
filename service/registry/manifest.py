"""Manifests as the registry answers them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """The answer to a HEAD of a manifest.

    After 304 (not modified) only the digest is known: media_type is "" and size_bytes is 0.
    """

    digest: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The answer to a GET of a manifest; `digest` was checked against `content`."""

    digest: str
    media_type: str
    content: bytes
