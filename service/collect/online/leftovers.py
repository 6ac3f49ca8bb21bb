"""Delete or report the leftovers of a storage: abandoned uploads, dangling tags and emptied repositories.

A push may race with each of these deletions. Links of leftovers are deleted under claims, like links of garbage.

uploads       A client may take hours for an upload, and each part that arrives is written. Without a write for
              gc.uploads_after (a day at least) no request is in progress: that would exceed what proxies allow by
              far. They are looked at again right before. A client that continues nevertheless is told 404 and begins
              anew; if its last request meets the deletion, the registry cannot move the data, and answers with an
              error. The registry's own purge (`storage.maintenance.uploadpurging`) does the same.
tags          As any deletion in a bucket (registry/bucket_deletion.py): looked at again, and restored if a push wrote
              to the tag meanwhile. A push writes the link of its manifest first, so its tag never dangles.
repositories  Only empty folders are removed. A push could create one of them and find it removed before it writes
              its file, so the repository is claimed as a whole: no request to it is in progress, and new ones wait.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from service.collect.attempt import Attempt
from service.collect.online.claiming import Claiming
from service.collect.online.removal import BlobRemoval
from service.collect.online.survey import Survey
from service.domain.collection.leftovers import Leftover, LeftoverKind, abandoned_uploads, spelled
from service.domain.collection.storage_inventory import StoredRepository
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.oci.names import is_repository
from service.log import log
from service.registry.bucket_deletion import BucketDeletion, dangling, digests_of
from service.registry.bucket_storage import BucketStorage
from service.registry.empty_folders import emptied_repositories, remove_empty, remove_repository
from service.registry.layout import upload_key
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_repository


class Leftovers:
    """The leftovers of one look at the storage."""

    def __init__(self, attempt: Attempt, objects: ObjectStore, survey: Survey) -> None:
        """Find the leftovers. Nothing is written."""
        self._attempt, self._objects, self._survey = attempt, objects, survey
        began_us, gc, inventory = survey.began.storage_us, attempt.gc, survey.inventory
        self._silent_us = began_us - gc.uploads_after * 1_000_000
        self._links = Counter(inventory.link(number).repository for number in survey.unused_links)
        self._uploads = dict(abandoned_uploads(inventory, self._silent_us))
        self._tags: dict[str, dict[str, str]] = {}
        # Only deletions by Distribution 2.8 in a bucket leave such tags.
        if not objects.is_local:
            for name, stored in inventory.repositories.items():
                attempt.lease.check()
                if is_repository(name) and (tags := _dangling(objects, name, stored, began_us)):
                    self._tags[name] = tags
        young_us = began_us - gc.youth * 1_000_000
        # A bucket has no folders.
        emptied = emptied_repositories(objects.root, inventory.names) if objects.root else ()
        self._repositories = {name: changed_us for name, changed_us in emptied if changed_us < young_us}

    def found(self) -> tuple[Leftover, ...]:
        """The leftovers that were found and are not deleted yet, by kind and repository."""
        return tuple(self._found())

    def _found(self) -> Iterator[Leftover]:
        uploads: dict[str, list[tuple[int, int]]] = {}
        for (name, _), upload in self._uploads.items():
            uploads.setdefault(name, []).append((upload.size_bytes, upload.written_us))
        for name, parts in uploads.items():
            size_bytes, since_us = sum(size for size, _ in parts), max(written_us for _, written_us in parts)
            yield Leftover(LeftoverKind.UPLOAD, name, len(parts), size_bytes, since_us // 1000)
        for name, tags in self._tags.items():
            pushed_us = max(self._survey.inventory.repositories[name].tags[tag].pushed_us for tag in tags)
            yield Leftover(LeftoverKind.TAG, name, len(tags), 0, pushed_us // 1000)
        for name, count in self._links.items():
            if count:
                yield Leftover(LeftoverKind.LINK, name, count)
        for name, changed_us in self._repositories.items():
            yield Leftover(LeftoverKind.REPOSITORY, name, 1, 0, changed_us // 1000)

    def delete(self, removal: BlobRemoval) -> None:
        """Delete the uploads, tags and repositories. The record gets a sentence about everything that was deleted.

        Args:
            removal: has deleted the links.

        Raises:
            LeaseLost: another worker may collect now.
        """
        before = self.found()
        unlinked = {blob.digest for blob in removal.unlinked}
        links = map(self._survey.inventory.link, self._survey.unused_links)
        self._links.subtract(link.repository for link in links if link.digest in unlinked)
        self._delete_uploads()
        self._delete_tags()
        if self._repositories:
            with removal.claiming.begun(self._survey.began.redis_us):
                self._remove_repositories(removal.claiming)
        left = {(leftover.kind, leftover.repository): leftover.count for leftover in self.found()}
        counts = ((leftover, left.get((leftover.kind, leftover.repository), 0)) for leftover in before)
        deleted = [replace(leftover, count=leftover.count - kept) for leftover, kept in counts if leftover.count > kept]
        if deleted:
            self._attempt.note(f"leftovers were deleted: {spelled(deleted)}")

    def _delete_uploads(self) -> None:
        for name, id in list(self._uploads):
            self._attempt.lease.check()
            folder = upload_key(name, id)
            parts = list(self._objects.list(folder))
            if any(part.modified_us >= self._silent_us for part in parts):
                continue
            failed = self._objects.delete((part.key for part in parts), self._attempt.lease.check)
            if self._objects.root:
                remove_empty(self._objects.root / folder)
            for key, error in failed.items():
                log.warning("the storage did not delete an object; it is tried again", key=key, error=error)
            if not failed:
                upload = self._uploads.pop((name, id))
                log.info("deleted an abandoned upload", repository=name, size_bytes=upload.size_bytes)

    def _delete_tags(self) -> None:
        for name in list(self._tags):
            self._attempt.lease.check()
            try:
                # Proves that the bucket is the registry's, and deletes what dangles now.
                BucketDeletion(BucketStorage(self._objects), self._attempt.registry.client).settle(name)
            except (RegistryRefused, RegistryUnavailable) as error:
                log.warning("dangling tags are not deleted", repository=name, error=str(error))
            # The bucket may have refused single tags, or a push may have met their deletion.
            stored, before = read_repository(self._objects, name), self._tags.pop(name)
            left = _dangling(self._objects, name, stored, self._survey.began.storage_us)
            if kept := {tag: digest for tag, digest in before.items() if tag in left}:
                self._tags[name] = kept

    def _remove_repositories(self, claiming: Claiming) -> None:
        with claiming.emptied(self._repositories) as granted:
            for name in granted:
                claiming.confirm()
                if self._objects.root and remove_repository(self._objects.root, name):
                    del self._repositories[name]
                    log.info("removed the folders of an emptied repository", repository=name)


def _dangling(objects: ObjectStore, name: str, stored: StoredRepository, now_us: int) -> dict[str, str]:
    """The dangling tags of a repository, with their digests. Few links need to be read for that."""
    stored.forget_sound_tags()
    return dangling(stored, digests_of(objects, name, stored), now_us) if stored.tags else {}
