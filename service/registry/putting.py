"""Push a manifest over HTTP, or link it in the storage of a read-only registry if `delete.via` is `storage`."""

from service.domain.errors import WritesDisabled
from service.domain.oci.names import is_digest
from service.registry.client import RegistryClient
from service.registry.disk import Unlinker


def put(
    client: RegistryClient, unlinker: Unlinker | None, repository: str, reference: str, media_type: str, content: bytes
) -> str:
    """Store a manifest under a tag or its digest, and return the digest. Raises the errors of RegistryClient.put."""
    try:
        return client.put(repository, reference, media_type, content)
    except WritesDisabled:
        if unlinker is None:
            raise
        return unlinker.prove(repository).put(content, "" if is_digest(reference) else reference)
