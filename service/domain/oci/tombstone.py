"""The tombstone: an empty index that a tag is moved to, so that the tag alone can be deleted.

Distribution 2.8 deletes no single tags, only manifests with all tags that point at them. A tag that was moved to the
tombstone is deleted together with the tombstone's manifest, and its image is kept. The bytes are the same everywhere,
so that every process recognizes a tombstone by its digest.
"""

import hashlib

from service.domain.oci.manifest import OCI_INDEX

MEDIA_TYPE = OCI_INDEX
CONTENT = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],'
    b'"annotations":{"pushprune.tombstone":"this tag is being deleted"}}'
)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
