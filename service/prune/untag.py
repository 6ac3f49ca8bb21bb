"""Untag doomed tags: by a DELETE of each tag if the registry supports that, else by tombstones.

Tags are moved to a tombstone, and one DELETE of the tombstone deletes all of them (Distribution 2.8 cannot delete a tag
alone). Meanwhile, more tags are moved to the next tombstone. A crash in between leaves tags at the tombstones; the next
batch continues from there.
"""

import time
from collections.abc import Collection, Sequence
from functools import partial
from itertools import cycle
from threading import Condition, Lock

from service.domain.errors import RegistryUnavailable, TagDeletesUnknown, TrashUnwritable
from service.domain.oci import tombstone
from service.domain.oci.tombstone import TOMBSTONES
from service.domain.retention.batching import BATCH_S
from service.domain.retention.plan import Doomed
from service.prune.batch import LEASED, NEEDED, Batch, ImageOutcome, traced
from service.prune.mounted import MountedStorage
from service.prune.parallel import Call, Work
from service.prune.policy_change import has_policy_in_force
from service.prune.recheck import RecheckResult, RecheckState, is_of_current_policy, may_be_deleted, recheck
from service.prune.untag_step import UntagStep, delete_tombstone
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


class _Untagging:
    def __init__(self, batch: Batch) -> None:
        self._batch, self._store, self._client = batch, batch.store, batch.registry.client
        self._repository, self._restarts = batch.repository, batch.snapshot.restarts
        self._by_tag = batch.exact or batch.store.capabilities.deletes_tags(self._restarts) is not False
        self._listed: frozenset[str] | None = None
        self._lock, self._changed = Lock(), Condition()
        self._is_stopped, self._began_s = False, time.monotonic()
        self._mounted = MountedStorage(batch.registry.storage)

    def begin(self) -> None:
        """If a tombstone is needed, make sure before each batch that the registry can delete it."""
        if not self._by_tag:
            delete_tombstone(self._batch, tombstone.FIRST)

    def untag(self, images: Sequence[Doomed], work: Work, size: int) -> list[ImageOutcome]:
        """Untag images in steps of this size. The tombstone of a step is deleted while the next ones are under way."""
        steps: list[UntagStep] = []
        calls: list[Call] = []
        fault: RegistryUnavailable | TrashUnwritable | None = None
        for part, stone in zip(chunks(images, size), cycle(TOMBSTONES), strict=False):
            before = steps[-len(TOMBSTONES)] if len(steps) >= len(TOMBSTONES) else None
            step = UntagStep(self._batch, stone, images=len(part), before=before, has_begun=not steps)
            steps.append(step)
            calls += [partial(self._untag_in_step, step, doomed) for doomed in part]
        try:
            try:
                work(calls)
            except (RegistryUnavailable, TrashUnwritable) as error:
                if isinstance(error, RegistryUnavailable) and not error.is_fault:
                    raise
                # Neither a failed request nor a full trash is a reason to leave the other tags at the tombstone.
                fault = error
            for step in reversed(steps):
                step.end()
        finally:
            for step in steps:
                step.record()
        if fault:
            raise fault
        return [outcome for step in steps for outcome in step.outcomes]

    def _untag_in_step(self, step: UntagStep, doomed: Doomed) -> None:
        """Untag one image, unless its step may not begin. The last image of a step ends the step."""
        try:
            if not self._begin_step(step):
                return
            with traced("untag image", doomed):
                self._untag(step, doomed)
            with self._changed:
                step.unfinished -= 1
                is_last = not step.unfinished
            if is_last:
                self._try_to_end(step)
        except BaseException:
            self._stop()
            raise

    def _begin_step(self, step: UntagStep) -> bool:
        """Wait until the tombstone of a step is free; return False if the step may not begin."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or step.before is None or step.before.is_over)
            if not (step.has_begun or self._is_stopped):
                step.has_begun = self._may_continue()
                if not step.has_begun:
                    self._stop()
            return step.has_begun

    def _may_continue(self) -> bool:
        """Return False if the policy changes, if a collection waits for this batch, or if the batch takes too long."""
        is_in_force = has_policy_in_force(self._batch.policies, self._batch.snapshot)
        is_in_time = time.monotonic() - self._began_s < BATCH_S
        return is_in_time and is_in_force and not self._store.leases.collecting()

    def _stop(self) -> None:
        """Begin with no other step."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def untag_again(self, tag: str, digest: str) -> None:
        """Remove one tag. Nothing is recorded."""
        step = UntagStep(self._batch, tombstone.FIRST, images=1)
        self._untag_tag(step, tag, digest, RecheckResult(RecheckState.UNCHANGED))
        step.end()

    def _untag(self, step: UntagStep, doomed: Doomed) -> None:
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

    def _try_to_end(self, step: UntagStep) -> None:
        """End a step while tags are pushed. If its DELETE meets one of these pushes, it is repeated after them."""
        try:
            step.end()
        except RegistryUnavailable as error:
            if not error.is_fault:
                raise
            self._stop()
        with self._changed:
            self._changed.notify_all()

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

    def _untag_tag(self, step: UntagStep, tag: str, digest: str, check: RecheckResult) -> None:
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
        step.note_tombstone()
        put = (self._repository, tag, tombstone.MEDIA_TYPE, step.tombstone.content)
        with self._mounted.changing(self._repository, tag, current, step.tombstone.digest):
            self._batch.write(lambda: self._client.put(*put))

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
                    delete_tombstone(self._batch, tombstone.FIRST)
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
