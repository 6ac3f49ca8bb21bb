"""Delete manifests and tags over the registry's API, or in its storage (`delete.via`). disk.py is the second way."""

from collections.abc import Collection
from typing import Protocol

from service.registry.client import RegistryClient
from service.registry.manifest import Manifest
from service.registry.storage import ReadableStorage


class DeletionBatch(Protocol):
    """The deletions of one batch in one repository, until `close`. Every method raises the errors of a request."""

    @property
    def exact(self) -> bool:
        """True if exactly the named tags are deleted, each alone if wanted.

        False: a DELETE by digest deletes every tag of the digest and may leave some of them listed (2.8 on S3), and a
        single tag cannot be deleted everywhere (2.8).
        """

    @property
    def storage(self) -> ReadableStorage | None:
        """The storage in which tags are rechecked; None to recheck them at the registry."""

    def delete(self, digest: str, tags: Collection[str] | None = None) -> bool:
        """Delete a manifest; False if the manifest does not exist.

        Args:
            digest: of the manifest.
            tags: the tags to delete with it, if the deletion is exact; None means every tag of the manifest.
        """

    def untag(self, tag: str, expected: Collection[str]) -> bool:
        """Delete a tag and keep its manifest; False if the tag does not exist.

        Args:
            tag: the name.
            expected: the digests at which the tag may point, if the deletion is exact.

        Raises:
            TagDeletesUnknown: the registry cannot delete a single tag.
        """

    def close(self) -> tuple[str, ...]:
        """End the batch, and return the tags that exist because a push met their deletion."""

    def manifest_of(self, tag: str) -> Manifest | None:
        """Return the manifest that a tag points at."""

    def is_still_served(self, digest: str) -> bool:
        """True if the registry serves a manifest that was deleted here and does not exist any more."""


class ManifestDeletion(Protocol):
    """A way to delete manifests, and to push deleted ones again."""

    @property
    def cost_grows_with_tags(self) -> bool:
        """True if the deletion of a digest takes longer the more tags its repository has."""

    def open(self, repository: str) -> DeletionBatch:
        """Begin a batch, which the caller must close.

        Raises:
            RegistryRefused: nothing can be deleted in this way.
        """

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Store a manifest under a tag or its digest, and return the digest, see `RegistryClient.put`."""

    def is_unsettled(self, repository: str) -> bool:
        """True if a dead process left a batch unfinished."""

    def settle(self, repository: str) -> None:
        """Finish the batches of dead processes. Raises the errors of `open` and `close`."""


class ApiBatch:
    """Deletions over the API. The registry does them at once, so there is nothing to close."""

    exact = False
    storage = None

    def __init__(self, client: RegistryClient, repository: str) -> None:
        self._client, self._repository = client, repository

    def delete(self, digest: str, tags: Collection[str] | None = None) -> bool:
        """Delete a manifest with all its tags; False if the manifest does not exist."""
        return self._client.delete(self._repository, digest)

    def untag(self, tag: str, expected: Collection[str]) -> bool:
        """Delete only a tag; False if the tag does not exist."""
        return self._client.delete_tag(self._repository, tag)

    def close(self) -> tuple[str, ...]:
        """Return no tags: a request leaves nothing to restore."""
        return ()

    def manifest_of(self, tag: str) -> Manifest | None:
        """Return the manifest that a tag points at."""
        return self._client.get(self._repository, tag)

    def is_still_served(self, digest: str) -> bool:
        """Return False: the registry has answered that it deleted the manifest."""
        return False


class ApiDeletion:
    """Deletion over the registry's API."""

    cost_grows_with_tags = True

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def open(self, repository: str) -> ApiBatch:
        """Begin a batch."""
        return ApiBatch(self._client, repository)

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Push a manifest, and return its digest."""
        return self._client.put(repository, reference, media_type, content)

    def is_unsettled(self, repository: str) -> bool:
        """Return False: a request leaves nothing unfinished."""
        return False

    def settle(self, repository: str) -> None:
        """Do nothing: a request leaves nothing unfinished."""
