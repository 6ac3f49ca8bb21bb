"""Check that an image is complete: that its manifest, parts and blobs can be read."""

from collections.abc import Callable

from service.domain.errors import RegistryUnavailable
from service.domain.oci.manifest import UnreadableManifest, read_references
from service.registry.client import RegistryClient

MANIFEST_GONE = "its manifest is missing"


def flaw(client: RegistryClient, repository: str, digest: str, existed: Callable[[str], bool]) -> str | None:
    """Describe what is missing of an image; None if its manifest, parts and blobs can all be read.

    A manifest that cannot be understood counts as complete.

    Args:
        client: the registry.
        repository: the name of the repository.
        digest: of the image.
        existed: True if this part of an index is known to have been in the repository. A part that never was there is
            no flaw: Distribution 3 accepts sparse indexes (validation.manifests.indexes.platforms).

    Raises:
        RegistryUnavailable, RegistryRefused: as the client. A blob that the registry fails to send is a flaw instead.
    """
    manifest = client.get(repository, digest)
    if manifest is None:
        return MANIFEST_GONE
    try:
        needs = read_references(manifest.media_type, manifest.content)
    except UnreadableManifest:
        return None
    for child in needs.children:
        damage = flaw(client, repository, child, existed)
        if damage and (damage != MANIFEST_GONE or existed(child)):
            return f"in its part {child}: {damage}"
    for blob, _ in needs.blobs:
        if not _is_there(client, repository, blob):
            return f"its blob {blob} is missing"
    return None


def _is_there(client: RegistryClient, repository: str, blob: str) -> bool:
    try:
        return client.has_blob(repository, blob)
    except RegistryUnavailable as error:
        # After a 500 the registry works, but it could not send this blob.
        if error.is_fault:
            return False
        raise
