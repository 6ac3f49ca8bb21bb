"""Delete the links and the data of blobs, batch by batch, under claims."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from service.collect.attempt import Attempt
from service.collect.online import prove
from service.collect.online.claiming import Claiming
from service.collect.online.journal import Journal
from service.collect.online.preparation import BlobPage, now
from service.collect.online.pushed_manifests import PushedManifests
from service.collect.online.repair import write_links
from service.domain.collection.digests import unpacked
from service.domain.collection.online import Moment, UnlinkedBlob
from service.domain.collection.run import BlobProbe
from service.domain.collection.storage_inventory import StorageInventory
from service.log import log
from service.registry.blob_quarantine import BlobQuarantine, QuarantineBatch
from service.registry.layout import blob_key, layer_key
from service.registry.objects import ObjectStore
from service.store.chunks import chunks

# One request to a bucket deletes as many keys.
_AT_ONCE = 1000
# Four hundred renames take 10 ms, deletions with folders 60 ms, and requests that name one of the blobs wait for all.
_FILES_AT_ONCE = 400
# The first batch proves that the registry serves this storage, so it is small.
_FIRST = 3
# The pages of manifests that are claimed before PUTs of manifests are held.
_PAGES_A_MOMENT = 4


class BlobRemoval:
    """The deletions of one attempt.

    Each batch follows the same order, which must not change: claim, delete, release. What is claimed is named by no
    request that is in progress, and every request that names it waits. Data is moved into quarantine; only that of
    configs and layers is deleted at once if gc.quarantine is 0.

    Attributes:
        deleted: the blobs whose data was deleted, or moved into quarantine.
        bytes_freed: of the data that was deleted.
        final: the number of deletions that can no longer be undone.
        unlinked: the blobs whose links were deleted.
        failures: the number of keys that the storage did not delete.
    """

    def __init__(self, attempt: Attempt, objects: ObjectStore, journal: Journal) -> None:
        self._attempt, self._objects, self._journal = attempt, objects, journal
        self._claiming, self._quarantine = Claiming(attempt), BlobQuarantine(objects)
        self._at_once = _AT_ONCE if objects.root is None else _FILES_AT_ONCE
        self._images = _images_by_blob(attempt)
        self.deleted: list[UnlinkedBlob] = []
        self.unlinked: list[UnlinkedBlob] = []
        self.failures = self.bytes_freed = self.final = 0

    @property
    def claiming(self) -> Claiming:
        """The right to claim digests, which every deletion needs."""
        return self._claiming

    def delete(self, pages: Iterable[BlobPage]) -> None:
        """Delete the data of configs and layers."""
        for page in pages:
            for part in chunks(page.blobs, self._at_once):
                blobs = self._claimed(replace(page, blobs=part))
                self._delete_claimed(blobs, page.batch)
                self._claiming.release(frozenset(blob.digest for blob in blobs))

    def delete_manifests(self, pages: Sequence[BlobPage], began_us: int) -> Sequence[BlobPage]:
        """Delete the data of manifests while no PUT of a manifest is in progress, for a moment.

        Args:
            pages: of manifests.
            began_us: when the inventory began, by the clock of Redis.

        Returns:
            The pages that are left.
        """
        if not self._claiming.manifests_ended():
            return pages
        # All this comes before the hold, so that no client waits for it. What clients put meanwhile is looked at when
        # its notifications have arrived.
        pushed = PushedManifests(self._attempt, self._objects, began_us)
        pushed.look(0)
        if not pushed.are_known:
            log.warning("not all pushes since the collection began are known; old manifests are deleted later")
            return []
        claimed = [(page, self._claimed(page, pushed.digests)) for page in pages[:_PAGES_A_MOMENT]]
        end_s, left = self._claiming.hold_manifests(pushed.look), list(pages[_PAGES_A_MOMENT:])
        if not pushed.are_known:
            end_s = 0
        # A PUT that the gate let pass may not have reached the registry yet. The registry then finds the data, and does
        # not write it again.
        for page, blobs in claimed:
            unused, done = self._without(page, blobs, pushed.digests), 0
            while done < len(unused) and time.monotonic() < end_s:
                self._delete_claimed(unused[done : done + self._at_once], page.batch)
                done += self._at_once
            if done < len(unused):
                left.append(BlobPage(unused[done:], page.batch))
        return left

    def _claimed(self, page: BlobPage, used: Collection[bytes] = ()) -> list[UnlinkedBlob]:
        """Claim the blobs of a page, and return those that may be deleted. used: packed digests that must be kept."""
        granted = self._claiming.claim([blob.digest for blob in page.blobs if blob.digest not in used], "delete")
        return self._without(page, page.blobs, {blob.digest for blob in page.blobs} - granted)

    def _without(self, page: BlobPage, blobs: Sequence[UnlinkedBlob], used: Collection[bytes]) -> list[UnlinkedBlob]:
        """Leave the data of used blobs of a page where it is, and return the other blobs."""
        left = [blob for blob in blobs if blob.digest in used]
        if page.batch:
            self._quarantine.leave(page.batch, [blob.digest for blob in left])
        self._advance(left)
        return [blob for blob in blobs if blob.digest not in used]

    def unlink(self, blobs: Iterable[UnlinkedBlob], inventory: StorageInventory, began: Moment) -> None:
        """Delete all links of blobs that no manifest needs.

        Args:
            blobs: of the journal.
            inventory: has the links that exist, to test the registry with.
            began: when the inventory began.

        Raises:
            StaleCache: the registry still knows a link that was deleted. It is written again.
        """
        blobs, unlinked, done = list(blobs), list[UnlinkedBlob](), set[bytes]()
        batch = QuarantineBatch(began)
        linked = (blob for blob in blobs if _probe(blob, inventory))
        while not unlinked and (linked_page := list(islice(linked, self._at_once))):
            unlinked = self._unlinked(linked_page, batch, inventory)
            # A page of which every blob was refused is not claimed again: nothing has proved the registry yet.
            done |= {blob.digest for blob in unlinked or linked_page}
        for page in chunks([blob for blob in blobs if blob.digest not in done], self._at_once):
            unlinked += self._unlinked(page, batch)
            if len(unlinked) >= _AT_ONCE:
                self._note_unlinked(unlinked)
                unlinked = []
        self._note_unlinked(unlinked)

    def expire(self, batches: Sequence[QuarantineBatch], has_data: Callable[[bytes], bool]) -> None:
        """Delete batches of the quarantine for good.

        Args:
            batches: whose time has passed.
            has_data: True for a packed digest that was pushed again since, or that is also in a later batch.
        """
        for batch in batches:
            digests = {batch.key(digest): digest for digest in batch.sizes}
            self._attempt.lease.check()
            for keys, errors in self._quarantine.delete(batch):
                failed = self._noted(errors)
                deleted = [digests[key] for key in keys if key in digests and key not in failed]
                self.bytes_freed += sum(batch.sizes[digest] for digest in deleted)
                self._make_final(digest for digest in deleted if not has_data(digest))
                # Within the batch, too: 50,000 links take half a minute.
                self._attempt.lease.check()

    def _delete_claimed(self, blobs: Sequence[UnlinkedBlob], batch: QuarantineBatch | None) -> None:
        """Delete the data of blobs, or move it into this batch of the quarantine."""
        keys = {blob_key(unpacked(blob.digest)): blob.digest for blob in blobs}
        if batch is None:
            failed = self._remove(keys, lambda: self._erase(keys))
        else:
            failed = self._remove(keys, lambda: self._quarantine.move(batch, keys.values(), self._claiming.confirm))
        deleted = [blob for blob in blobs if blob.digest not in failed]
        self.deleted += deleted
        self._advance(blobs)
        if batch is None:
            self.bytes_freed += sum(blob.size_bytes for blob in deleted)
            self._make_final(blob.digest for blob in deleted)

    def _make_final(self, digests: Iterable[bytes]) -> None:
        """Forget the images of the trash that need these blobs, whose data was deleted: they cannot be restored."""
        images = {image for digest in digests for image in self._images.get(unpacked(digest), ())}
        self.final += self._attempt.store.trash.forget_images(images)

    def _unlinked(
        self, page: Sequence[UnlinkedBlob], batch: QuarantineBatch, inventory: StorageInventory | None = None
    ) -> list[UnlinkedBlob]:
        """Delete the links of these blobs under claims, and return the unlinked blobs.

        Args:
            page: of blobs.
            batch: of the quarantine, for the links of a local folder.
            inventory: given until the registry has proved to obey the storage. Only a few blobs are unlinked then.
        """
        granted = self._claiming.claim([blob.digest for blob in page], "unlink")
        page, probes = [blob for blob in page if blob.digest in granted], list[BlobProbe]()
        if inventory:
            # Few blobs until it is proved that the registry serves this storage. The others are claimed again.
            self._claiming.release(frozenset(blob.digest for blob in page[_FIRST:]))
            page = page[:_FIRST]
            probes = [probe for blob in page if (probe := _probe(blob, inventory))]
        probes = prove.choose(self._attempt, probes, self._objects.name)
        links = {(name, blob.digest): blob.digest for blob in page for name in blob.repositories}
        keys = {layer_key(name, unpacked(digest)): digest for name, digest in links}
        failed = self._remove(keys, lambda: self._quarantine.unlink(batch, keys, self._claiming.confirm))
        if probe := prove.still_known(self._attempt, probes):
            write_links(self._attempt, self._objects, links)
            raise prove.refusal(probe, self._objects.name)
        self._claiming.release(frozenset(blob.digest for blob in page))
        self._advance(page)
        return [blob for blob in page if blob.digest not in failed]

    def _note_unlinked(self, blobs: Sequence[UnlinkedBlob]) -> None:
        """Begin the grace of blobs. If a request has named a blob since its claim, the journal keeps that as a use."""
        at = now(self._attempt, self._objects)
        done = [blob._replace(at=at) for blob in blobs]
        self._journal.note_unlinked(done)
        self.unlinked += done

    def _advance(self, blobs: Sequence[UnlinkedBlob]) -> None:
        self._attempt.progress.advance(len(blobs), sum(blob.size_bytes for blob in blobs))

    def _remove(self, keys: Mapping[str, bytes], remove: Callable[[], dict[str, str]]) -> frozenset[bytes]:
        """Delete or move objects, and return the digests of those that the storage did not delete.

        Raises:
            StorageUnavailable: the storage did not answer, and may still carry out a deletion. The claims are kept.
            LeaseLost: another worker may collect now.
        """
        with self._claiming.kept():
            errors = remove()
        return frozenset(keys[key] for key in self._noted(errors))

    def _erase(self, keys: Collection[str]) -> dict[str, str]:
        # The digests are claimed, so that no upload has just created the folder.
        return self._objects.delete_with_folders(keys, self._claiming.confirm)

    def _noted(self, errors: dict[str, str]) -> dict[str, str]:
        for key, error in errors.items():
            log.warning("the storage did not delete an object; it is tried again", key=key, error=error)
        self.failures += len(errors)
        return errors


def _probe(blob: UnlinkedBlob, inventory: StorageInventory) -> BlobProbe | None:
    """Return one of the links to delete. The registry knows only links whose blobs have data."""
    if inventory.blob(blob.digest) is None:
        return None
    names = (link.repository for link in inventory.layer_links(blob.digest) if link.repository in blob.repositories)
    return next((BlobProbe(name, unpacked(blob.digest)) for name in names), None)


def _images_by_blob(attempt: Attempt) -> Mapping[str, frozenset[tuple[str, str]]]:
    """Map each blob of the trash to the images (repository, digest) that need it to be restored."""
    images: dict[str, set[tuple[str, str]]] = {}
    for repository, kept, blobs in attempt.store.trash.blobs():
        for blob in blobs:
            images.setdefault(blob, set()).add((repository, kept))
    return {blob: frozenset(needed) for blob, needed in images.items()}
