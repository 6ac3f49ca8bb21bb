"""One step of an untag: images whose tags are moved to the same tombstone, and deleted together with the tombstone."""

from threading import Lock

from service.domain.errors import RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.oci.tombstone import Tombstone
from service.prune.batch import Batch, ImageOutcome
from service.prune.still_listed import still_listed


class UntagStep:
    """The images of a batch whose tags are moved to the same tombstone.

    Attributes:
        tombstone: the manifest that the tags are moved to. No other step under way uses the same one.
        before: the last step whose tags are moved to this tombstone, too; None if there is none.
        outcomes: of the images that were looked at.
        unfinished: number of images that are still to be untagged.
        has_begun: True if the first tag may be moved.
        is_over: True if the tombstone was deleted with its tags, or none was needed.
    """

    def __init__(
        self, batch: Batch, stone: Tombstone, *, images: int, before: "UntagStep | None" = None, has_begun: bool = False
    ) -> None:
        self.tombstone, self.before = stone, before
        self.outcomes: list[ImageOutcome] = []
        self.unfinished, self.has_begun, self.is_over = images, has_begun, False
        self._batch, self._client, self._deletions = batch, batch.registry.client, batch.store.deletions
        self._repository = batch.repository
        self._lock = Lock()
        # When the tombstone was recorded for healing, in ms.
        self._noted_ms: int | None = None
        self._still_listed: frozenset[str] = frozenset()
        self._is_recorded = False

    def note_tombstone(self) -> None:
        """Record that the tombstone is about to exist, so that healing deletes it after a crash.

        If users then push over all tags that point at the tombstone, no other trace of it is left.
        """
        with self._lock:
            if self._noted_ms is None:
                self._noted_ms = self._deletions.request_healing(self._repository, [self.tombstone.digest])

    def end(self) -> None:
        """Delete the tombstone, once, and with it every tag that points at it. Record these tags."""
        if self.is_over:
            return
        if self._noted_ms is not None:
            self._batch.permit.check()
            self._delete_with_tags()
            self._deletions.healed(self._repository, (self.tombstone.digest, self._noted_ms), "", None)
            removed = [verdict.tag.name for outcome in self.outcomes for verdict in outcome.untagged]
            self._still_listed = still_listed(self._batch, removed)
        self.is_over = True
        self.record()

    def record(self) -> None:
        """Record the removed tags, once. While the tombstone exists, no tag counts as removed."""
        untagged = [(outcome.doomed, tuple(outcome.untagged)) for outcome in self.outcomes if outcome.untagged]
        if self._is_recorded or not untagged or (self._noted_ms is not None and not self.is_over):
            return
        self._is_recorded = True
        if self._deletions.untagged(self._repository, untagged, self._still_listed):
            self._batch.dispatch.enforce(self._repository)
        self._batch.log_deleted(verdict for _, verdicts in untagged for verdict in verdicts)

    def _delete_with_tags(self) -> None:
        """Delete the tombstone, which tags point at.

        On a filesystem, Distribution 2.8 answers 500 if it reads any tag of the repository while that tag is being
        written. By then it has deleted the manifest, but no tag. The manifest is pushed again, without a tag.
        """
        try:
            if delete_tombstone(self._batch, self.tombstone):
                return
        except RegistryUnavailable as error:
            if not error.is_fault:
                raise
        put = (self._repository, self.tombstone.digest, tombstone.MEDIA_TYPE, self.tombstone.content)
        self._batch.write(lambda: self._client.put(*put))
        delete_tombstone(self._batch, self.tombstone)


def delete_tombstone(batch: Batch, stone: Tombstone) -> bool:
    """Delete a tombstone, with all tags that point at it; return False if it did not exist."""
    batch.store.deletions.touch(batch.repository, stone.digest)
    with batch.permit.writing():
        return batch.registry.client.delete(batch.repository, stone.digest)
