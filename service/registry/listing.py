"""Find out whether a registry lists every tag.

Distribution 3.1.0 and 3.1.1 on object storage leave out each tag that is another tag's name plus a character that sorts
after `/`: `rel` hides `rel2` (upstream issue 4891). An image then looks unused although a tag points at it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from service.domain.errors import RegistryUnavailable, TagDeletesUnknown
from service.domain.oci import tombstone
from service.registry.client import RegistryClient
from service.registry.probe import REPOSITORY
from service.registry.storage import ReadableStorage

# The name of the trouble while only tags are deleted.
ABOUT = "listing"
# The beginning of the name of the trouble of a repository that keeps listing deleted tags.
STILL_LISTED = "still listed "
TAG = "pushprune-probe"
HIDDEN_TAG = f"{TAG}2"
_UNTIL_THEN = "until then only tags are deleted, and their images are kept"
HIDES = (
    "the registry leaves tags out of its listings, as Distribution 3.1.0 and 3.1.1 do on object storage: an image that "
    f"looks unused may have such a tag. Upgrade the registry; {_UNTIL_THEN}"
)


def untried(error: Exception) -> str:
    """The message for a registry that could not be tested."""
    return (
        f"the test that the registry lists every tag failed ({error}): allow the login of registry.username to push "
        f"and delete in {REPOSITORY}, or set storage.path or storage.url to the registry's storage; {_UNTIL_THEN}"
    )


def lists_every_tag(
    client: RegistryClient,
    writing: Callable[[], AbstractContextManager[None]],
    repository: str = REPOSITORY,
    storage: ReadableStorage | None = None,
) -> bool:
    """Push two tags, one of which a faulty registry hides, and return True if both are listed.

    Both point at a tombstone, which needs no blobs and which the rest of pushprune does not count as an image. A
    registry that cannot delete a single tag (2.8) lists tags in another way and need not be tested.

    Args:
        client: the registry.
        writing: opens a block for one write.
        repository: where to push.
        storage: the bucket, whose tags are added to every list. It counts if it is the registry's, which it is if it
            has both tags.

    Raises:
        RegistryRefused: the registry does not allow the test.
        RegistryUnavailable: try again later.
    """
    try:
        for tag in (TAG, HIDDEN_TAG):
            with writing():
                client.put(repository, tag, tombstone.MEDIA_TYPE, tombstone.FIRST.content)
        missing = {TAG, HIDDEN_TAG}.difference(tags_of(client, storage, repository))
        if any(client.head(repository, tag) is None for tag in missing):
            raise RegistryUnavailable(f"the tags that test the listing vanished from {repository}")
        return not missing
    finally:
        with writing():
            client.delete(repository, tombstone.FIRST.digest)


def tags_of(client: RegistryClient, storage: ReadableStorage | None, repository: str) -> frozenset[str]:
    """The tags that the registry lists, and those that it leaves out although they are in its bucket."""
    listed = frozenset(client.tags(repository))
    return listed | storage.tags(repository) if storage is not None and not storage.is_on_disk else listed


def deletes_single_tags(client: RegistryClient, repository: str) -> bool:
    """True if the registry can delete a single tag. The test deletes a tag that does not exist."""
    try:
        client.delete_tag(repository, HIDDEN_TAG)
    except TagDeletesUnknown:
        return False
    return True
