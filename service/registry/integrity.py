"""Whether an image can be pulled back whole."""

from collections.abc import Callable

from service.domain.errors import RegistryUnavailable
from service.domain.oci.manifest import UnreadableManifest, read_references
from service.registry.client import RegistryClient

MANIFEST_GONE = "its manifest is gone"


def flaw(client: RegistryClient, repository: str, digest: str, existed: Callable[[str], bool]) -> str | None:
    """What is missing of an image, in words; None when manifest, parts and blobs can all be read.

    What cannot be understood is taken for whole. Raises what the client raises, but for a blob that the registry fails
    to send.

    existed: True if this part of an index is known to have been in the repository. A part that never was is no flaw:
    Distribution 3 accepts sparse indexes (validation.manifests.indexes.platforms).
    """
    manifest = client.get(repository, digest)
    if manifest is None:
        return MANIFEST_GONE
    try:
        needs = read_references(manifest.media_type, manifest.content)
    except UnreadableManifest:
        return None
    for child in needs.children:
        found = flaw(client, repository, child, existed)
        if found and (found != MANIFEST_GONE or existed(child)):
            return f"of its part {child}: {found}"
    for blob, _ in needs.blobs:
        if not _is_there(client, repository, blob):
            return f"its blob {blob} is gone"
    return None


def _is_there(client: RegistryClient, repository: str, blob: str) -> bool:
    try:
        return client.has_blob(repository, blob)
    except RegistryUnavailable as error:
        if error.is_fault:
            return False
        raise
