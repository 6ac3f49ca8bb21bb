"""The tombstone: an empty index that takes the place of an image under a tag, so that the tag alone can be deleted.

Distribution 2.8 deletes no tags, only manifests with all tags that stand there. A tag that is pointed at the tombstone
goes with the tombstone's manifest, and its image stays. It is the same everywhere, so that whoever meets one knows it.
"""

import hashlib

from service.domain.oci.manifest import OCI_INDEX

MEDIA_TYPE = OCI_INDEX
CONTENT = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],'
    b'"annotations":{"pushprune.tombstone":"this tag is being deleted"}}'
)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
