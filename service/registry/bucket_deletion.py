"""Delete tags and manifests in the registry's bucket, once it is proved to be its bucket.

A bucket has no atomic rename, so a deletion is looked at again. A push writes the link of the manifest first, then the
`index` link of the tag, then its `current` link (Distribution 2.8.3 and 3). So a push that meets a deletion shows by an
index link that is new or was written again, and is restored.
"""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from threading import Lock

from service.domain.collection.digests import is_packable, packed, unpacked
from service.domain.collection.storage_inventory import StoredRepository
from service.domain.errors import RegistryRefused, RegistryUnavailable, StorageUnavailable, WritesDisabled
from service.domain.oci.names import is_digest, is_tag
from service.log import log
from service.registry import layout
from service.registry.bucket_probe import SIGN, prove
from service.registry.bucket_storage import BucketStorage, digest_in
from service.registry.client import RegistryClient
from service.registry.manifest import Manifest
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_repository

# A push writes its links within this time, and S3 rounds times down to a whole second.
_PUSH_US = 60 * 1_000_000
# No batch takes this long, so what is left by an older one belongs to a dead process.
_ABANDONED_US = 600 * 1_000_000


class BucketBatch:
    """The deletions of one batch in the bucket, in one repository, until `close`.

    Every method that writes raises:
        RegistryUnavailable: a push is writing to the same tag (is_fault), or the bucket fails.
        RegistryRefused: the bucket refuses.
    """

    exact = True

    def __init__(
        self, storage: BucketStorage, client: RegistryClient, repository: str, before: StoredRepository, began_us: int
    ) -> None:
        """before: the contents of the repository. began_us: the storage's clock when they were listed."""
        self.storage, self._client, self._repository = storage, client, repository
        self._objects, self._before, self._began_us = storage.objects, before, began_us
        self._digests = digests_of(self._objects, repository, before)
        self._untagged: set[str] = set()
        # Deleted manifests, and those that were kept for a tag that the caller does not know.
        self._unlinked: set[str] = set()
        self._lock = Lock()

    def untag(self, tag: str, expected: Collection[str]) -> bool:
        """Delete a tag that points at one of these digests; False if the tag does not exist."""
        current = layout.current_key(self._repository, tag)
        content, etag = self._objects.read_with_etag(current)
        digest = digest_in(content)
        indexes = self._before.indexes.get(tag, {})
        # A tag that had no current link before is what a deletion of the registry left.
        if digest is None and (tag in self._before.tags or not indexes):
            return False
        # A push writes its index link first: such a link that is younger than the tag may belong to one in progress.
        current_us = self._before.tags[tag].pushed_us if tag in self._before.tags else 0
        young = [
            index
            for index, us in indexes.items()
            if us > self._began_us - _PUSH_US and (us > current_us or unpacked(index) != digest)
        ]
        if (digest is not None and digest not in expected) or young:
            raise self._being_pushed(tag)
        # Without conditions, a push of another image may be deleted here; it shows below, and is restored.
        if content is not None and not self._objects.delete_if(current, etag):
            raise self._being_pushed(tag)
        if self._is_pushed(tag, indexes):
            raise self._being_pushed(tag)
        # The tag is deleted. Index links that are left are deleted by a later batch, like those of a dead process.
        with suppress(StorageUnavailable):
            self._objects.delete([layout.index_key(self._repository, tag, unpacked(index)) for index in indexes])
        with self._lock:
            self._untagged.add(tag)
        return True

    def untag_dangling(self) -> None:
        """Delete the tags that point at a manifest that the repository does not have."""
        for tag, digest in dangling(self._before, self._digests, self._began_us).items():
            with suppress(RegistryUnavailable):
                if self.untag(tag, (digest,)):
                    reason = "its manifest was deleted before"
                    log.info("deleted a dangling tag", repository=self._repository, tag=tag, reason=reason)

    def delete(self, digest: str, tags: Collection[str] | None = None) -> bool:
        """Delete a manifest with these of its tags; False if the manifest does not exist.

        Args:
            digest: of the manifest.
            tags: to delete; None means every tag that points at the manifest.
        """
        pointing = {tag for tag, target in self._digests.items() if target == digest}
        names = pointing if tags is None else set(tags)
        deleted: list[str] = []
        try:
            for tag in sorted(names):
                deleted += [tag] if self.untag(tag, {digest}) else []
        except (RegistryUnavailable, RegistryRefused):
            # All or nothing: the manifest is kept, so its tags are restored.
            for tag in deleted:
                self._link(tag, digest)
            raise
        key = layout.revision_key(self._repository, digest)
        exists = self._objects.head(key) is not None
        # A tag that the caller does not know keeps the manifest. `close` looks for those that are pushed meanwhile.
        if exists and not pointing - names:
            self._delete([key])
        if exists:
            with self._lock:
                self._unlinked.add(digest)
        return exists

    def put(self, content: bytes, tag: str = "") -> str:
        """Link a manifest, and a tag to it, as a push would, and return its digest.

        Raises:
            RegistryRefused: the bytes of the manifest were garbage-collected.
        """
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if not self.storage.blob_size(digest):
            raise RegistryRefused(f"the bytes of {self._repository}@{digest} were garbage-collected")
        self._objects.write(layout.revision_key(self._repository, digest), digest.encode())
        if tag:
            self._objects.write(layout.index_key(self._repository, tag, digest), digest.encode())
            self._objects.write(layout.current_key(self._repository, tag), digest.encode())
        return digest

    def close(self) -> tuple[str, ...]:
        """End the batch, and return the tags that exist because a push met their deletion."""
        if not self._untagged and not self._unlinked:
            return ()
        now = read_repository(self._objects, self._repository)
        digests = digests_of(self._objects, self._repository, now, self._unlinked)
        pushed = {tag for tag in self._untagged if tag in now.tags}
        for tag in pushed & digests.keys():
            # The index link of the push may have been deleted with those of the tag before.
            self._create(layout.index_key(self._repository, tag, digests[tag]), digests[tag])
        needed = {tag: digest for tag, digest in digests.items() if digest in self._unlinked}
        for digest in set(needed.values()):
            if self.storage.blob_size(digest):
                self._create(layout.revision_key(self._repository, digest), digest)
        return tuple(sorted(pushed | needed.keys()))

    def manifest_of(self, tag: str) -> Manifest | None:
        """Return the manifest that a tag points at."""
        return self.storage.manifest(self._repository, self.storage.digest_of(self._repository, tag) or "")

    def is_still_served(self, digest: str) -> bool:
        """True if the registry serves a manifest whose link does not exist any more."""
        served = self._client.head(self._repository, digest) is not None
        return served and self._objects.head(layout.revision_key(self._repository, digest)) is None

    def _is_pushed(self, tag: str, indexes: Mapping[bytes, int]) -> bool:
        """True if the tag was pushed while its current link was deleted; the link is then restored."""
        written: dict[bytes, int] = {}
        for stored in self._objects.list(layout.tag_key(self._repository, tag)):
            place = layout.parse(stored.key)
            if place is not None and place.kind is layout.StoredKind.CURRENT:
                return True
            # A push of the same image writes its link again. S3 rounds times down, so that an equal time is no proof.
            is_new = place is not None and stored.modified_us != indexes.get(place.digest)
            if place is not None and is_new:
                written[place.digest] = stored.modified_us
        if not written:
            return False
        digest = unpacked(max(written, key=lambda index: written[index]))
        self._create(layout.current_key(self._repository, tag), digest)
        return True

    def _link(self, tag: str, digest: str) -> None:
        """Restore a tag, unless a push has created it again."""
        self._create(layout.index_key(self._repository, tag, digest), digest)
        self._create(layout.current_key(self._repository, tag), digest)
        with self._lock:
            self._untagged.discard(tag)

    def _create(self, key: str, digest: str) -> None:
        """Write a link, unless there is one: a push that writes it at this moment wins."""
        # Not every server of the S3 protocol obeys the condition of `create`.
        if self._objects.head(key) is None:
            self._objects.create(key, digest.encode())

    def _delete(self, keys: Collection[str]) -> None:
        for key, reason in self._objects.delete(keys).items():
            raise StorageUnavailable(f"{self.storage.name}: {key} was not deleted: {reason}")

    def _being_pushed(self, tag: str) -> RegistryUnavailable:
        return RegistryUnavailable(f"{self._repository}:{tag} is being pushed", is_fault=True, is_over=True)


class BucketDeletion:
    """Deletion in the bucket, once it is proved that the registry serves it."""

    cost_grows_with_tags = False

    def __init__(self, storage: BucketStorage, client: RegistryClient) -> None:
        self._storage, self._objects, self._client = storage, storage.objects, client

    def open(self, repository: str) -> BucketBatch:
        """Begin a batch, which the caller must close.

        Raises:
            RegistryRefused: the registry does not list the marker, or the layout of the bucket is unknown.
        """
        # The clock is taken before the listing, so that each later write looks younger.
        began_us = self._objects.now_us()
        contents = read_repository(self._objects, repository, self._refuse)
        prove(self._objects, self._client, repository)
        for key, reason in self._objects.delete(_abandoned(repository, contents, began_us)).items():
            raise StorageUnavailable(f"{self._storage.name}: {key} was not deleted: {reason}")
        batch = BucketBatch(self._storage, self._client, repository, contents, began_us)
        batch.untag_dangling()
        return batch

    def is_unsettled(self, repository: str) -> bool:
        """True if a dead process left a marker or a tag without its current link, or the registry a dangling tag."""
        contents = read_repository(self._objects, repository)
        now_us = self._objects.now_us()
        digests = digests_of(self._objects, repository, contents)
        return bool(_abandoned(repository, contents, now_us) or dangling(contents, digests, now_us))

    def settle(self, repository: str) -> None:
        """Remove what dead processes left. Raises the errors of `open` and `close`."""
        self.open(repository).close()

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Push a manifest over HTTP, or link it in the bucket of a read-only registry."""
        try:
            return self._client.put(repository, reference, media_type, content)
        except WritesDisabled:
            return self.open(repository).put(content, "" if is_digest(reference) else reference)

    def _refuse(self, key: str) -> None:
        raise RegistryRefused(
            f"{self._storage.name}: {key} was not created by a registry version known here: remove it, or set "
            "delete.via: api"
        )


def dangling(contents: StoredRepository, digests: Mapping[str, str], now_us: int) -> dict[str, str]:
    """The tags that point at a manifest that the repository does not have, with its digest.

    Distribution 2.8 on object storage leaves a tag `X` when it deletes its manifest, if a tag `X-…` or `X.…` exists. A
    push writes the link of the manifest first, so it never leaves such a tag.
    """
    since_us = now_us - _ABANDONED_US
    return {
        tag: digest
        for tag, digest in digests.items()
        if is_packable(digest) and packed(digest) not in contents.revisions and contents.tags[tag].pushed_us < since_us
    }


def _abandoned(repository: str, contents: StoredRepository, now_us: int) -> list[str]:
    """The keys of markers and of tags without a current link that are too old for a living process."""
    since_us = now_us - _ABANDONED_US
    signs = [tag for tag, link in contents.tags.items() if tag.startswith(SIGN) and link.pushed_us < since_us]
    keys = [f"{layout.tags_key(repository)}/{sign}/current/link" for sign in signs]
    for tag in filter(is_tag, contents.remnants):
        indexes = contents.indexes[tag]
        # A push that has written the index link and not yet the current one is young.
        if max(indexes.values()) < since_us:
            keys += [layout.index_key(repository, tag, unpacked(index)) for index in indexes]
    return keys


def digests_of(
    objects: ObjectStore, repository: str, contents: StoredRepository, more: Collection[str] = ()
) -> dict[str, str]:
    """Map each tag to the digest that it points at, mostly by the listing alone.

    The ETag of a link is the MD5 of its content, unless the bucket encrypts with KMS. So an ETag that is the MD5 of a
    manifest of the repository tells where its tag points; the links of the other tags are read. Folders whose names are
    no tags, such as that of a marker, are left out: no registry serves them.

    Args:
        more: digests that tags may point at although the repository has no such manifest.
    """
    known = {*map(unpacked, contents.revisions), *more}
    by_etag = {hashlib.md5(digest.encode(), usedforsecurity=False).hexdigest(): digest for digest in known}
    links = {tag: link for tag, link in contents.tags.items() if is_tag(tag)}
    digests = {tag: by_etag[link.etag] for tag, link in links.items() if link.etag in by_etag}
    unread = {layout.current_key(repository, tag): tag for tag in links.keys() - digests.keys()}
    for key, content in objects.read_many(unread).items():
        if digest := digest_in(content):
            digests[unread[key]] = digest
    return digests
