"""Delete doomed images, batch by batch. Each is rechecked and saved to the trash right before its deletion."""

import time
from dataclasses import dataclass
from functools import partial

from service import tracing
from service.dispatch import Dispatch
from service.domain.errors import RegistryUnavailable
from service.domain.retention.batching import batch_size, next_size, untagged_first
from service.domain.retention.plan import Doomed
from service.prune import listing
from service.prune.batch import open_batch
from service.prune.image import delete_image
from service.prune.parallel import Work, in_parallel
from service.prune.policy_change import has_policy_in_force
from service.prune.recheck import is_of_current_policy
from service.prune.still_listed import still_listed
from service.prune.untag import untag
from service.reconcile import compare
from service.registry import Registry
from service.settings import PolicySource
from service.store import Store
from service.store.lease import Lease
from service.store.packing import DoomedImages
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_WAIT_S = 0.3
_FIRST_BATCH = 16


@dataclass(slots=True)
class _Learnt:
    """The facts that the batches before, under the same lease, have shown.

    Attributes:
        deletes: number of digests that the registry deletes in the time of one batch.
        no_tombstone: True if the last batch removed its tags, and deleted the tombstone at its end.
    """

    deletes: int
    no_tombstone: bool = False


def delete(wiring: Wiring, repository: str) -> None:
    """Delete the doomed images of one repository. Unfinished deletions stay in the outbox.

    Never runs beside a collection: while a collection holds the registry or waits for it, this returns at once, or
    after the current batch.

    Raises:
        RegistryUnavailable, RegistryRefused, LeaseLost: the deletion had to stop. Everything done is recorded.
    """
    if wiring.store.outbox.backing_off("doomed", repository):
        return
    history, images = wiring.store.history, DoomedImages()
    before: tuple[Doomed, ...] = ()
    learnt = _Learnt(_FIRST_BATCH)
    held = wiring.store.leases.hold(f"delete:{repository}", wait_s=_WAIT_S)
    with held as lease, in_parallel(wiring.registry.parallel) as work:
        while lease is not None and (doomed := history.doomed(repository, before=images)) and doomed != before:
            before = doomed
            if not _delete(wiring, history.snapshot(repository), doomed, lease, learnt, work):
                return


def _delete(
    wiring: Wiring, snapshot: Snapshot, doomed: tuple[Doomed, ...], lease: Lease, learnt: _Learnt, work: Work
) -> bool:
    """Delete the images that were doomed when the snapshot was made; return False if the caller must stop.

    Tagged images are deleted first: either each digest with its tags, or all tags before the first digest, whichever
    costs less. If there are any, untagged images are left to the next call.
    """
    remaining = sorted((image for image in doomed if image.tags), key=lambda image: not image.only_tags) or list(doomed)
    tags = len(snapshot.tags)
    while remaining:
        lease.check()
        # Another worker deletes them, or the sweep makes the repository due for a changed policy. A new plan would only
        # come back to this worker.
        if not has_policy_in_force(wiring.policies, snapshot):
            return False
        least = wiring.settings.delete.batch_size
        batch, step = _next_batch(wiring.store, wiring.registry, snapshot, remaining, tags, least, learnt.deletes)
        if _is_stale(wiring.store, wiring.registry, wiring.policies, snapshot, batch):
            _plan_again(wiring.store, wiring.dispatch, snapshot.repository)
            return False
        with wiring.store.leases.write() as permit:
            if permit is None:
                return False
            if not all(image.only_tags for image in batch) and not listing.is_whole(
                wiring.store, wiring.registry, snapshot, permit
            ):
                _plan_again(wiring.store, wiring.dispatch, snapshot.repository)
                return False
            began_s = time.monotonic()
            try:
                _delete_batch(wiring, snapshot, batch, permit, work, step=step, no_tombstone=learnt.no_tombstone)
            except RegistryUnavailable:
                _reset_back_off(wiring.store, snapshot.repository, batch)
                raise
        learnt.no_tombstone = step > 0
        if not step:
            learnt.deletes = next_size(len(batch), time.monotonic() - began_s)
        wiring.store.outbox.succeeded("doomed", snapshot.repository)
        remaining, tags = remaining[len(batch) :], tags - sum(len(image.tags) for image in batch)
        # Some tags may be left, because removing all of them would take too long.
        if step or (remaining and not wiring.store.history.is_current(snapshot)):
            return True
    return True


def _plan_again(store: Store, dispatch: Dispatch, repository: str) -> None:
    store.outbox.mark_due([repository])
    dispatch.enforce(repository)


def _reset_back_off(store: Store, repository: str, batch: tuple[Doomed, ...]) -> None:
    """Reset the back-off if at least one image of the batch was deleted: waits grow only without any progress."""
    remaining = set(store.history.doomed(repository))
    if not remaining.issuperset(batch):
        store.outbox.succeeded("doomed", repository)


def _next_batch(
    store: Store,
    registry: Registry,
    snapshot: Snapshot,
    remaining: list[Doomed],
    tags: int,
    least: int,
    deletes: int,
) -> tuple[tuple[Doomed, ...], int]:
    """Return the next batch, and how many of its images are untagged at a time, all before the first is deleted.

    That number is 0 if each image is deleted with its tags.

    Args:
        tags: number of tags in the repository now.
        least: delete.batch_size.
        deletes: number of digests that the registry deletes in the time of one batch.
    """
    count, step, size = min(least, deletes), 0, batch_size(tags, least)
    if remaining[0].only_tags:
        count, step = len(remaining), size
    elif remaining[0].tags and not registry.deletion.cost_grows_with_tags:
        # In the storage, a digest with its tags costs the same in a repository of any size.
        count = size
    elif remaining[0].tags and len(remaining) > 1:
        known = store.capabilities.deletes_tags(snapshot.restarts)
        if first := untagged_first(remaining, tags, size, deletes_tags=known):
            # The first step shows if the registry can delete a tag alone, which changes the costs.
            count, step = min(first, size) if known is None else first, size
    only_tags = remaining[0].only_tags
    return tuple(image for image in remaining[:count] if image.only_tags == only_tags), step


def _is_stale(
    store: Store, registry: Registry, policies: PolicySource, snapshot: Snapshot, batch: tuple[Doomed, ...]
) -> bool:
    """Return True if the batch must be planned again.

    Events may be missing since the plan (safety rule 9), or deletions may be disabled by now. A manifest without a tag
    has no tag to recheck: it is deleted only if a complete comparison finds every tag where the history says.
    """
    policy = policies.current()
    if not snapshot.compared:
        return True
    if (policy is None or policy.dry_run) and not all(doomed.manual for doomed in batch):
        return True
    if not all(is_of_current_policy(policies, doomed) for doomed in batch):
        return True
    return any(not doomed.tags for doomed in batch) and compare.compare(store, registry, snapshot).changed > 0


def _delete_batch(
    wiring: Wiring,
    snapshot: Snapshot,
    images: tuple[Doomed, ...],
    permit: Lease,
    work: Work,
    *,
    step: int,
    no_tombstone: bool,
) -> None:
    """Delete the images of one batch.

    Args:
        step: number of images whose tags are removed at a time, all before the first manifest; 0: each with its tags.
    """
    # All images that are doomed at one time are of the same plan.
    traced = tracing.span("delete", images[0].trace, repository=snapshot.repository, images=len(images))
    with traced, open_batch(wiring, snapshot, permit) as batch:
        if step:
            for outcome in untag(batch, images, work, step=step, no_tombstone=no_tombstone):
                batch.record(outcome)
        else:
            work([partial(delete_image, batch, image) for image in images])
        # A tag that is still listed because of a longer tag can be removed once this batch deleted the longer one.
        still_listed(batch, ())
        wiring.store.collections.note_deletions(tracing.context())
