"""Tombstones: empty indexes that tags are moved to, so that the tags alone can be deleted.

Distribution 2.8 deletes no single tags, only manifests with all tags that point at them. A tag that was moved to a
tombstone is deleted together with the tombstone's manifest, and its image is kept. The bytes are the same everywhere,
so that every process recognizes a tombstone by its digest.
"""

import hashlib
from typing import NamedTuple

from service.domain.oci.manifest import OCI_INDEX

MEDIA_TYPE = OCI_INDEX


class Tombstone(NamedTuple):
    """The manifest of one tombstone, and its digest."""

    content: bytes
    digest: str


def _tombstone(annotation: str) -> Tombstone:
    content = (
        f'{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","manifests":[],'
        f'"annotations":{{"pushprune.tombstone":"{annotation}"}}}}'
    ).encode()
    return Tombstone(content, f"sha256:{hashlib.sha256(content).hexdigest()}")


# While some of them are deleted with their tags, more tags are moved to the next.
TOMBSTONES = (
    _tombstone("this tag is being deleted"),
    _tombstone("this tag is being deleted, too"),
    _tombstone("this tag is being deleted as well"),
)
FIRST = TOMBSTONES[0]
DIGESTS = frozenset(each.digest for each in TOMBSTONES)
