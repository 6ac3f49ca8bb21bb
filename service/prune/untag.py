"""Untag doomed tags: by a DELETE of each tag if the registry supports that, else by tombstones.

Tags are moved to a tombstone, and one DELETE of the tombstone deletes all of them (Distribution 2.8 cannot delete a tag
alone). Meanwhile, the next tags are moved to the other tombstone. A crash in between leaves tags at the tombstones; the
next batch continues from there.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from threading import Lock

from service.domain.errors import RegistryUnavailable, TagDeletesUnknown, TrashUnwritable
from service.domain.oci import tombstone
from service.domain.oci.tombstone import Tombstone
from service.domain.retention.plan import Doomed
from service.prune.batch import LEASED, NEEDED, Batch, ImageOutcome, traced
from service.prune.mounted import MountedStorage
from service.prune.parallel import Work
from service.prune.policy_change import has_policy_in_force
from service.prune.recheck import RecheckResult, RecheckState, is_of_current_policy, may_be_deleted, recheck
from service.prune.still_listed import still_listed
from service.store.chunks import chunks
from service.store.trash import SaveResult


def untag(
    batch: Batch, images: Sequence[Doomed], work: Work, *, step: int, no_tombstone: bool = False
) -> list[ImageOutcome]:
    """Untag these images, step by step. The removed tags are recorded, also if this fails on the way.

    Args:
        work: makes many calls, one by one or in parallel.
        step: number of images whose tags are moved to the same tombstone.
        no_tombstone: True if the last batch of this repository has just deleted a tombstone: the registry can do that.

    Raises:
        RegistryUnavailable, RegistryRefused, LeaseLost, TrashUnwritable: some tags may not be removed.
    """
    untagging = _Untagging(batch)
    if not no_tombstone:
        untagging.begin()
    return untagging.untag(images, work, step)


def untag_again(batch: Batch, tag: str, digest: str) -> None:
    """Remove a tag that our healing pushed although its user had just deleted it."""
    untagging = _Untagging(batch)
    untagging.begin()
    untagging.untag_again(tag, digest)


@dataclass(slots=True)
class _Step:
    """The images of a batch whose tags are moved to the same tombstone.

    Attributes:
        moved_ms: the time at which the tombstone was recorded for healing; None if no tag was moved to it yet.
        still_listed: deleted tags that the registry still lists.
        is_over: True if the tombstone was deleted with its tags, or none was needed.
        is_recorded: True if the deleted tags were recorded.
    """

    tombstone: Tombstone
    moved_ms: int | None = None
    outcomes: list[ImageOutcome] = field(default_factory=list)
    still_listed: frozenset[str] = frozenset()
    is_over: bool = False
    is_recorded: bool = False


class _Untagging:
    def __init__(self, batch: Batch) -> None:
        self._batch, self._store, self._client = batch, batch.store, batch.registry.client
        self._repository, self._restarts = batch.repository, batch.snapshot.restarts
        self._by_tag = batch.exact or batch.store.capabilities.deletes_tags(self._restarts) is not False
        self._listed: frozenset[str] | None = None
        self._lock = Lock()
        self._mounted = MountedStorage(batch.registry.storage)

    def begin(self) -> None:
        """If a tombstone is needed, make sure before each batch that the registry can delete it."""
        if not self._by_tag:
            self._delete(tombstone.FIRST)

    def untag(self, images: Sequence[Doomed], work: Work, size: int) -> list[ImageOutcome]:
        """Untag images in steps of this size. The tombstone of a step is deleted while the next step is under way."""
        steps: list[_Step] = []
        fault: RegistryUnavailable | TrashUnwritable | None = None
        try:
            for part, stone in zip(chunks(images, size), cycle((tombstone.FIRST, tombstone.SECOND)), strict=False):
                if steps and not self._may_continue():
                    break
                step, before = _Step(stone), steps[-1:]
                steps.append(step)
                calls = [partial(self._try_to_end, other) for other in before]
                calls += [partial(self._untag_traced, step, doomed) for doomed in part]
                try:
                    work(calls)
                    for other in before:
                        self._end(other)
                except (RegistryUnavailable, TrashUnwritable) as error:
                    if isinstance(error, RegistryUnavailable) and not error.is_fault:
                        raise
                    # Neither a failed request nor a full trash is a reason to leave the other tags at the tombstone.
                    fault = error
                    break
            for step in reversed(steps):
                self._end(step)
        finally:
            for step in steps:
                self._record(step)
        if fault:
            raise fault
        return [outcome for step in steps for outcome in step.outcomes]

    def _may_continue(self) -> bool:
        """Return False if the policy changes, or if a collection waits for this batch, and pushes with it."""
        is_in_force = has_policy_in_force(self._batch.policies, self._batch.snapshot)
        return is_in_force and not self._store.leases.collecting()

    def untag_again(self, tag: str, digest: str) -> None:
        """Remove one tag. Nothing is recorded."""
        step = _Step(tombstone.FIRST)
        self._untag_tag(step, tag, digest, RecheckResult(RecheckState.UNCHANGED))
        self._end(step)

    def _untag_traced(self, step: _Step, doomed: Doomed) -> None:
        with traced("untag image", doomed):
            self._untag(step, doomed)

    def _untag(self, step: _Step, doomed: Doomed) -> None:
        """Untag one doomed digest. For each tag: recheck → trash → the write that removes the tag."""
        self._batch.permit.check()
        if not is_of_current_policy(self._batch.policies, doomed):
            return
        outcome = ImageOutcome(doomed)
        step.outcomes.append(outcome)
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
                self._untag_tag(step, verdict.tag.name, doomed.digest, check)
                outcome.untagged.append(verdict)
        if outcome.moved or outcome.vanished:
            names = ", ".join([*(tag.name for tag in outcome.moved), *outcome.vanished])
            outcome.spared = f"another client moved or deleted {names}"

    def _try_to_end(self, step: _Step) -> None:
        """End a step while tags are pushed. If its DELETE meets one of these pushes, it is repeated after them."""
        try:
            self._end(step)
        except RegistryUnavailable as error:
            if not error.is_fault:
                raise

    def _end(self, step: _Step) -> None:
        """Delete the tombstone of a step, once, and with it every tag that points at it. Record these tags."""
        if step.is_over:
            return
        if step.moved_ms is not None:
            self._batch.permit.check()
            self._delete_with_tags(step.tombstone)
            self._store.deletions.healed(self._repository, (step.tombstone.digest, step.moved_ms), "", None)
            removed = [verdict.tag.name for outcome in step.outcomes for verdict in outcome.untagged]
            step.still_listed = still_listed(self._batch, removed)
        step.is_over = True
        self._record(step)

    def _delete_with_tags(self, stone: Tombstone) -> None:
        """Delete a tombstone that tags point at.

        On a filesystem, Distribution 2.8 answers 500 if it reads any tag of the repository while that tag is being
        written. By then it has deleted the manifest, but no tag. The manifest is pushed again, without a tag.
        """
        try:
            if self._delete(stone):
                return
        except RegistryUnavailable as error:
            if not error.is_fault:
                raise
        with self._batch.permit.writing():
            self._client.put(self._repository, stone.digest, tombstone.MEDIA_TYPE, stone.content)
        self._delete(stone)

    def _delete(self, stone: Tombstone) -> bool:
        """Delete a tombstone; return False if it did not exist."""
        self._store.deletions.touch(self._repository, stone.digest)
        with self._batch.permit.writing():
            return self._client.delete(self._repository, stone.digest)

    def _record(self, step: _Step) -> None:
        """Record the removed tags of a step, once. While its tombstone exists, no tag counts as removed."""
        untagged = [(outcome.doomed, tuple(outcome.untagged)) for outcome in step.outcomes if outcome.untagged]
        if step.is_recorded or not untagged or not (step.is_over or self._by_tag):
            return
        step.is_recorded = True
        if self._store.deletions.untagged(self._repository, untagged, step.still_listed):
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

    def _untag_tag(self, step: _Step, tag: str, digest: str, check: RecheckResult) -> None:
        """Remove one tag, or move it to the tombstone of the step."""
        # A registry that is killed during a DELETE leaves a tag that is listed and points at nothing.
        if check.state is RecheckState.REMOVED and tag not in self._tags():
            return
        current = digest if check.state is RecheckState.UNCHANGED else None
        if self._by_tag and self._deletes_tag(tag, current, (digest, *tombstone.DIGESTS, check.healed_digest)):
            # Another worker, which cannot delete single tags, left a tombstone: its manifest must be deleted, too.
            if check.state is RecheckState.TOMBSTONE:
                self._store.deletions.request_healing(self._repository, sorted(tombstone.DIGESTS))
            return
        self._note_tombstone(step)
        put = (self._repository, tag, tombstone.MEDIA_TYPE, step.tombstone.content)
        with self._mounted.changing(self._repository, tag, current, step.tombstone.digest):
            self._batch.write(lambda: self._client.put(*put))

    def _note_tombstone(self, step: _Step) -> None:
        """Record that a tombstone is about to exist, so that healing deletes it after a crash.

        If users then push over all tags that point at the tombstone, no other trace of it is left.
        """
        with self._lock:
            if step.moved_ms is None:
                step.moved_ms = self._store.deletions.request_healing(self._repository, [step.tombstone.digest])

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
                    self._delete(tombstone.FIRST)
                    self._store.capabilities.note_deletes_tags(self._restarts, able=False)
                    self._by_tag = False
            return False
        if can_delete_tags is None:
            self._store.capabilities.note_deletes_tags(self._restarts, able=True)
        return True

    def _tags(self) -> frozenset[str]:
        if self._listed is None:
            self._listed = frozenset(self._client.tags(self._repository))
        return self._listed
