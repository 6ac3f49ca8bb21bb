"""Puts a manifest back: over HTTP, or on the disk of a registry that takes no writes, where deletes go over it."""

from service.domain.errors import WritesDisabled
from service.domain.oci.names import is_digest
from service.registry.client import RegistryClient
from service.registry.disk import Unlinker


def put(
    client: RegistryClient, unlinker: Unlinker | None, repository: str, reference: str, media_type: str, content: bytes
) -> str:
    """Stores a manifest under a tag or its digest and returns the digest. Raises what RegistryClient.put raises."""
    try:
        return client.put(repository, reference, media_type, content)
    except WritesDisabled:
        if unlinker is None:
            raise
        return unlinker.prove(repository).put(content, "" if is_digest(reference) else reference)
