"""The images that the users of the model push: images, indexes that share children, signatures, artifacts."""

import json
from datetime import UTC, datetime
from functools import cache

from service.domain.oci.manifest import INDEX_TYPES, OCI_MANIFEST
from tests.fakes.images import Image, index_over, make_image, sha256

IMAGES = tuple(make_image(f"image {number}", layers=0) for number in range(4))
_CHILDREN = tuple(make_image(f"child {number}", layers=0) for number in range(3))
_PAIR = index_over(_CHILDREN[:2], seed="pair")
INDEXES = (
    _PAIR,
    index_over(_CHILDREN[1:], seed="shares a child with the first"),
    index_over((IMAGES[0], _CHILDREN[0]), seed="one child is an image of its own"),
    index_over((_PAIR, IMAGES[1]), seed="an index in an index"),
)
# A child that somebody tags as well comes last.
GOODS = (*IMAGES, *INDEXES, _CHILDREN[1])
# Nobody can say when these were created: the config does not, or says 1970.
UNDATED = (
    make_image("undated", layers=0, dated=False),
    make_image("epoch", layers=0, created=datetime(1970, 1, 1, tzinfo=UTC)),
)
WITH_UNDATED = (*UNDATED, *GOODS[2:])


@cache
def signature_of(digest: str) -> Image:
    """The manifest that cosign pushes under `signature_tag(digest)`."""
    return make_image(f"signature of {digest}", layers=0)


def signature_tag(digest: str) -> str:
    return f"{digest.replace(':', '-')}.sig"


@cache
def artifact_about(digest: str, size: int, media_type: str) -> Image:
    """An artifact with a subject, as `oras attach` makes it."""
    config = b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/example.report",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(config), "size": len(config)},
        "layers": [],
        "subject": {"mediaType": media_type, "digest": digest, "size": size},
    }
    return Image(OCI_MANIFEST, json.dumps(manifest, separators=(",", ":")).encode(), (config,))


@cache
def children_of(media_type: str, content: bytes) -> tuple[str, ...]:
    """The manifests that an index lists."""
    return tuple(child["digest"] for child in json.loads(content)["manifests"]) if media_type in INDEX_TYPES else ()


@cache
def subject_in(content: bytes) -> str | None:
    """The digest that an artifact is about."""
    subject: str | None = json.loads(content).get("subject", {}).get("digest")
    return subject


def subject_by_name(tag: str) -> str | None:
    """The digest that a signature's tag names."""
    return tag.removesuffix(".sig").replace("-", ":", 1) if tag.endswith(".sig") else None


def called(digest: str) -> str:
    """A readable name of an image, for messages."""
    named = [(image.digest, f"image {number}") for number, image in enumerate(IMAGES)]
    named += [(index.digest, f"index {number}") for number, index in enumerate(INDEXES)]
    named += [(child.digest, f"child {number}") for number, child in enumerate(_CHILDREN)]
    named += [(image.digest, f"undated {number}") for number, image in enumerate(UNDATED)]
    for known, name in named:
        if digest == known:
            return name
        if digest == signature_of(known).digest:
            return f"signature of {name}"
    return digest
