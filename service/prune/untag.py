"""Untag doomed tags: by a DELETE of each tag if the registry supports that, else by one tombstone.

Every tag of a batch is moved to the tombstone, and one DELETE of the tombstone deletes all of them (Distribution 2.8
cannot delete a tag alone). A crash in between leaves tags at the tombstone; the next batch continues from there.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock

from service.domain.errors import RegistryUnavailable, TagDeletesUnknown, TrashUnwritable
from service.domain.oci import tombstone
from service.domain.retention.plan import Doomed
from service.prune.batch import LEASED, NEEDED, Batch, ImageOutcome, traced
from service.prune.parallel import Work
from service.prune.recheck import RecheckResult, RecheckState, is_of_current_policy, may_be_deleted, recheck
from service.prune.still_listed import still_listed
from service.registry.storage import ReadableStorage
from service.store.trash import SaveResult


def untag(batch: Batch, images: tuple[Doomed, ...], work: Work, *, no_tombstone: bool = False) -> list[ImageOutcome]:
    """Untag these images. The removed tags are recorded, also if this fails on the way.

    Args:
        work: runs a call for each of the images, one by one or in parallel.
        no_tombstone: True if the last batch of this repository has just deleted the tombstone: the registry can do
            that, and no tag points at it.

    Raises:
        RegistryUnavailable, RegistryRefused, LeaseLost, TrashUnwritable: some tags may not be removed.
    """
    untagging = _Untagging(batch)
    if not no_tombstone:
        untagging.begin()
    fault: RegistryUnavailable | TrashUnwritable | None = None
    try:
        try:
            work(untagging.untag, images)
        except (RegistryUnavailable, TrashUnwritable) as error:
            if isinstance(error, RegistryUnavailable) and not error.is_fault:
                raise
            # Neither a single failed request nor a full trash is a reason to leave the other tags at the tombstone.
            fault = error
        untagging.end()
    finally:
        untagging.record()
    if fault:
        raise fault
    return untagging.outcomes


def untag_again(batch: Batch, tag: str, digest: str) -> None:
    """Remove a tag that our healing pushed although its user had just deleted it."""
    untagging = _Untagging(batch)
    untagging.begin()
    untagging.untag_one(tag, digest, RecheckResult(RecheckState.UNCHANGED))
    untagging.end()


class _Untagging:
    def __init__(self, batch: Batch) -> None:
        self._batch, self._store, self._client = batch, batch.store, batch.registry.client
        self._repository, self._restarts = batch.repository, batch.snapshot.restarts
        self._by_tag = batch.exact or batch.store.capabilities.deletes_tags(self._restarts) is not False
        self._is_done = self._by_tag
        # The time at which the tombstone was recorded for healing. None: no tag was moved to a tombstone yet.
        self._tombstone_ms: int | None = None
        self._listed: frozenset[str] | None = None
        self._lock = Lock()
        self._mounted = _Mounted(batch.registry.storage)
        self._left: frozenset[str] = frozenset()
        self.outcomes: list[ImageOutcome] = []

    def begin(self) -> None:
        """If a tombstone is needed, make sure before each batch that the registry can delete it."""
        if not self._by_tag:
            self._delete_tombstone()

    def _delete_tombstone(self) -> None:
        self._store.deletions.touch(self._repository, tombstone.DIGEST)
        self._batch.write(lambda: self._client.delete(self._repository, tombstone.DIGEST))

    def untag(self, doomed: Doomed) -> None:
        """Untag one doomed digest. For each tag: recheck → trash → the write that removes the tag."""
        with traced("untag image", doomed):
            self._untag(doomed)

    def _untag(self, doomed: Doomed) -> None:
        self._batch.permit.check()
        if not is_of_current_policy(self._batch.policies, doomed):
            return
        outcome = ImageOutcome(doomed)
        self.outcomes.append(outcome)
        kept = False
        for verdict in doomed.verdicts:
            fetch, storage = not kept and not doomed.only_tags, self._batch.storage or self._mounted.live
            check = recheck(self._batch, doomed, verdict, fetch=fetch, storage=storage)
            if check.state is RecheckState.VANISHED:
                outcome.vanished.append(verdict.tag.name)
            elif check.moved_to is not None:
                outcome.moved.append(check.moved_to)
                outcome.indexes |= {check.moved_to.digest} if check.is_index else set()
            elif not (self._is_still_doomed(doomed, outcome) if kept else self._keep(doomed, check, outcome)):
                return
            else:
                kept = True
                self.untag_one(verdict.tag.name, doomed.digest, check)
                outcome.untagged.append(verdict)
        if outcome.moved or outcome.vanished:
            names = ", ".join([*(tag.name for tag in outcome.moved), *outcome.vanished])
            outcome.spared = f"another client moved or deleted {names}"

    def end(self) -> None:
        """Delete the tombstone, and with it every tag that points at it."""
        if not self._is_done and self._tombstone_ms is not None:
            self._batch.permit.check()
            self._delete_tombstone()
            self._store.deletions.healed(self._repository, (tombstone.DIGEST, self._tombstone_ms), "", None)
            removed = [verdict.tag.name for outcome in self.outcomes for verdict in outcome.untagged]
            self._left = still_listed(self._batch, removed)
        self._is_done = True

    def record(self) -> None:
        """Record the removed tags. While the tombstone exists, no tag counts as removed."""
        untagged = [(outcome.doomed, tuple(outcome.untagged)) for outcome in self.outcomes if outcome.untagged]
        if not self._is_done or not untagged:
            return
        if self._store.deletions.untagged(self._repository, untagged, self._left):
            self._batch.dispatch.enforce(self._repository)
        self._batch.log_deleted(verdict for _, verdicts in untagged for verdict in verdicts)

    def _keep(self, doomed: Doomed, check: RecheckResult, outcome: ImageOutcome) -> bool:
        """Keep the doomed manifest in the trash; return True if its tags may be removed now."""
        manifest = None
        if not doomed.only_tags:
            manifest = check.manifest or self._client.get(self._repository, doomed.digest)
            if manifest is None and self._store.trash.get(self._repository, doomed.digest) is None:
                outcome.note_lost()
                return False
        if not may_be_deleted(self._batch, doomed, manifest):
            outcome.spared = NEEDED
            return False
        kept = (manifest.media_type, manifest.content) if manifest else None
        return self._is_saved(self._store.trash.save(self._batch.snapshot, doomed, kept), outcome)

    def _is_still_doomed(self, doomed: Doomed, outcome: ImageOutcome) -> bool:
        """Return True if the next tag may be removed, too: a user may keep the image since the removal of the last."""
        trash, snapshot = self._store.trash, self._batch.snapshot
        saved = trash.save(snapshot, doomed, None) if doomed.only_tags else trash.save_again(snapshot, doomed)
        return self._is_saved(saved, outcome)

    def _is_saved(self, saved: SaveResult, outcome: ImageOutcome) -> bool:
        if saved is SaveResult.LEASED:
            outcome.spared = LEASED
        return saved is SaveResult.SAVED

    def untag_one(self, tag: str, digest: str, check: RecheckResult) -> None:
        """Remove one tag, or move it to the tombstone."""
        # A registry that is killed during a DELETE leaves a tag that is listed and points at nothing.
        if check.state is RecheckState.REMOVED and tag not in self._tags():
            return
        current = digest if check.state is RecheckState.UNCHANGED else None
        if self._by_tag and self._deletes_tag(tag, current, (digest, tombstone.DIGEST, check.healed_digest)):
            # Another worker, which cannot delete single tags, left the tombstone: its manifest must be deleted, too.
            if check.state is RecheckState.TOMBSTONE:
                self._store.deletions.request_healing(self._repository, [tombstone.DIGEST])
            return
        self._note_tombstone()
        if check.state is not RecheckState.TOMBSTONE:
            put = (self._repository, tag, tombstone.MEDIA_TYPE, tombstone.CONTENT)
            with self._mounted.changing(self._repository, tag, current, tombstone.DIGEST):
                self._batch.write(lambda: self._client.put(*put))

    def _note_tombstone(self) -> None:
        """Record that a tombstone is about to exist, so that healing deletes it after a crash.

        If users then push over all tags that point at the tombstone, no other trace of it is left.
        """
        with self._lock:
            if self._tombstone_ms is None:
                self._tombstone_ms = self._store.deletions.request_healing(self._repository, [tombstone.DIGEST])

    def _deletes_tag(self, tag: str, current: str | None, expected: Collection[str]) -> bool:
        """Delete the tag alone; return False if the registry cannot do that. The first refusal is remembered."""
        can_delete_tags = self._batch.exact or self._store.capabilities.deletes_tags(self._restarts)
        try:
            with self._mounted.changing(self._repository, tag, current, None):
                self._batch.untag(tag, expected)
        except TagDeletesUnknown:
            with self._lock:
                if self._by_tag:
                    # Before another thread pushes a tombstone: a DELETE that meets a PUT fails.
                    self._delete_tombstone()
                    self._store.capabilities.note_deletes_tags(self._restarts, able=False)
                    self._by_tag = self._is_done = False
            return False
        if can_delete_tags is None:
            self._store.capabilities.note_deletes_tags(self._restarts, able=True)
        return True

    def _tags(self) -> frozenset[str]:
        if self._listed is None:
            self._listed = frozenset(self._client.tags(self._repository))
        return self._listed


class _Mounted:
    """The proof that the mounted storage is the one that the registry serves. A failed proof is final.

    The storage is trusted for one batch once a write over HTTP has changed it. A stale copy, the storage of another
    registry, or files left by a registry that now uses an object store would not change.

    Args:
        storage: the mounted storage, None if nothing is mounted.
    """

    def __init__(self, storage: ReadableStorage | None) -> None:
        # A bucket may fail to answer right after the write, and a write must not seem to have failed because of that.
        self._storage = storage if storage and storage.is_on_disk else None
        self._is_live: bool | None = None

    @property
    def live(self) -> ReadableStorage | None:
        """The mounted storage if it is proved to be the registry's, else None."""
        return self._storage if self._is_live else None

    @contextmanager
    def changing(self, repository: str, tag: str, before: str | None, after: str | None) -> Iterator[None]:
        """Watch the storage around a write over HTTP that changes a tag.

        Args:
            before: the digest that the tag points at, by an answer of the registry; None if it is not known.
            after: the digest that it points at after the write; None if the tag is deleted.
        """
        if self._storage is None or self._is_live is not None or before is None:
            yield
            return
        stored_before = self._storage.digest_of(repository, tag)
        yield
        # Both states must match: a stale copy may happen to show one of them.
        is_seen = stored_before == before and self._storage.digest_of(repository, tag) == after
        self._is_live = is_seen and self._is_live is not False
