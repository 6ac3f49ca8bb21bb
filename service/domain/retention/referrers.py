"""The referrers of images: signatures, attestations, SBOMs and other manifests that name an image as their subject."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.domain.retention.state import State, subject_of

ReferrerKind = Literal["signature", "attestation", "SBOM", "referrer", "referrer list"]

_KINDS: tuple[tuple[str, ReferrerKind], ...] = (
    (".sig", "signature"), (".att", "attestation"), (".sbom", "SBOM"), ("", "referrer"),
)  # fmt: skip
# `sha256-<hex>` without a suffix is the index in which clients list the referrers of an image.
_LIST_LENGTH = len("sha256-") + 64


@dataclass(frozen=True, slots=True)
class Referrer:
    """A referrer of an image. tag: "" for a manifest without a tag."""

    tag: str
    digest: str
    kind: ReferrerKind


def referrers(state: State, parents: Mapping[str, str]) -> dict[str, tuple[Referrer, ...]]:
    """Map the digest of each image with a tag to its referrers, by tag and digest.

    A referrer of a part of an index belongs to the index.

    Args:
        parents: digest of a part → an index that lists it.
    """
    tagged = {tag.digest for tag in state.tags}
    names = [(tag.name, tag.digest) for tag in state.tags]
    names += [("", digest) for digest, known in state.links.items() if known and known.subject and digest not in tagged]
    by_image: dict[str, list[Referrer]] = {}
    for name, digest in sorted(names):
        subject = subject_of(name, state.links.get(digest))
        image = _image_with_tag(subject, tagged, parents) if subject else None
        if image and image != digest:
            by_image.setdefault(image, []).append(Referrer(name, digest, _kind_of(name)))
    return {image: tuple(known) for image, known in by_image.items()}


def _image_with_tag(digest: str, tagged: set[str], parents: Mapping[str, str]) -> str | None:
    """Return the digest itself or the index above it, whichever has a tag; None if neither has one."""
    # A forged event can say of two indexes that each lists the other.
    for _ in range(len(parents) + 1):
        if digest in tagged:
            return digest
        if digest not in parents:
            return None
        digest = parents[digest]
    return None


def _kind_of(name: str) -> ReferrerKind:
    if name.startswith("sha256-") and len(name) == _LIST_LENGTH:
        return "referrer list"
    return next(kind for suffix, kind in _KINDS if name.endswith(suffix))
