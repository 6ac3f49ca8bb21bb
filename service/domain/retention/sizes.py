"""The sizes of images: of an image its config and layers, of an index those of all of its parts, each blob once."""

from collections.abc import Mapping
from dataclasses import replace

from service.domain.retention.plan import Verdict
from service.domain.retention.state import State

Layers = Mapping[str, tuple[tuple[str, int], ...]]


def image_size(state: State, digest: str, layers: Layers) -> int | None:
    """Return the size of an image in bytes; None if a config or layers of it, or the parts of an index, are not known.

    Args:
        layers: digest of a manifest → (blob, size in bytes) of its config and layers, as far as they are known.
    """
    if unsized_manifests(state, digest, layers):
        return None
    blobs = {blob: size for manifest in state.closure(digest) for blob, size in layers.get(manifest, ())}
    return sum(blobs.values())


def unsized_manifests(state: State, digest: str, layers: Layers) -> tuple[str, ...]:
    """Return the manifests of an image that must be read before its size is known."""
    return tuple(name for name in state.closure(digest) if name not in layers and not is_index(state, name))


def is_index(state: State, digest: str) -> bool:
    """True if the manifest is known to be an index. An index has no layers of its own."""
    known = state.links.get(digest)
    return known is not None and bool(known.children)


def sized(verdict: Verdict, state: State, layers: Layers) -> Verdict:
    """Return the verdict with the size of its image, if only its layers give it."""
    tag = verdict.tag
    if tag.size_bytes:
        return verdict
    return replace(verdict, tag=replace(tag, size_bytes=image_size(state, tag.digest, layers) or 0))
