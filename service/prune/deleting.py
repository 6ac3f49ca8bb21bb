"""Delete doomed images, batch by batch. Each is rechecked and saved to the trash right before its deletion."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial

from service.dispatch import Dispatch
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.retention.batching import batch_size, next_size, tags_first
from service.domain.retention.plan import Doomed
from service.log import log
from service.prune import listing
from service.prune.parallel import in_parallel, one_by_one
from service.prune.recheck import may_go, recheck, still_said
from service.prune.remover import Remover, removing
from service.prune.timing import time_push_to_gone
from service.prune.untag import Taken, take_off
from service.reconcile import compare
from service.registry import Registry
from service.registry.manifest import Manifest
from service.settings import PolicySource, Settings
from service.store import Store
from service.store.keys import short
from service.store.lease import Lease
from service.store.snapshot import Snapshot
from service.store.trash import SaveResult, TrashedManifest
from service.wiring import Wiring

_WAIT_S = 0.3
_FIRST_BATCH = 16


@dataclass(slots=True)
class _Speed:
    """The speed of deletions in one repository, learnt from the batches before.

    Attributes:
        size: number of digests that the registry deletes in good time.
    """

    size: int


def delete(wiring: Wiring, repository: str) -> None:
    """Delete the doomed images of one repository. Unfinished deletions stay in the outbox.

    Never runs beside a collection: while a collection holds or wants the registry, this returns at once, or after the
    current batch.

    Raises:
        RegistryUnavailable, RegistryRefused, LeaseLost: the deletion had to stop. Everything done is recorded.
    """
    if wiring.store.outbox.backing_off("doomed", repository):
        return
    before: tuple[Doomed, ...] = ()
    speed = _Speed(_FIRST_BATCH)
    with wiring.store.leases.hold(f"delete:{repository}", wait_s=_WAIT_S) as lease:
        while lease is not None and (doomed := wiring.store.history.doomed(repository)) and doomed != before:
            before = doomed
            if not _delete(wiring, wiring.store.history.snapshot(repository), doomed, lease, speed):
                return


def _delete(wiring: Wiring, snapshot: Snapshot, doomed: tuple[Doomed, ...], lease: Lease, speed: _Speed) -> bool:
    """Delete the images that were doomed when the snapshot was made; return False if the caller must stop.

    Tagged images are deleted first: either each digest with its tags, or all tags before the first digest, whichever
    costs less. If there are any, untagged images are left to the next call.
    """
    remaining = sorted((image for image in doomed if image.tags), key=lambda image: not image.only_tags) or list(doomed)
    tags = len(snapshot.tags)
    while remaining:
        lease.check()
        batch, untags = _next_batch(
            wiring.store, wiring.registry, wiring.settings, snapshot, remaining, tags, speed.size
        )
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
                _go(wiring, snapshot, batch, permit, untags=untags)
            except RegistryUnavailable:
                _ease_off(wiring.store, snapshot.repository, batch)
                raise
        if not untags:
            speed.size = next_size(len(batch), time.monotonic() - began_s)
        wiring.store.outbox.succeeded("doomed", snapshot.repository)
        remaining, tags = remaining[len(batch) :], tags - sum(len(image.tags) for image in batch)
        if remaining and not wiring.store.history.is_current(snapshot):
            return True
    return True


def _plan_again(store: Store, dispatch: Dispatch, repository: str) -> None:
    store.outbox.mark_due([repository])
    dispatch.enforce(repository)


def _ease_off(store: Store, repository: str, batch: tuple[Doomed, ...]) -> None:
    """Reset the back-off if at least one image of the batch was deleted: waits grow only without any progress."""
    remaining = set(store.history.doomed(repository))
    if not remaining.issuperset(batch):
        store.outbox.succeeded("doomed", repository)


def _next_batch(
    store: Store,
    registry: Registry,
    settings: Settings,
    snapshot: Snapshot,
    remaining: list[Doomed],
    tags: int,
    fits: int,
) -> tuple[tuple[Doomed, ...], bool]:
    """Return the next batch, and True if its tags are to be removed before its manifests.

    Args:
        fits: number of digests that the registry deletes in good time.
    """
    most = settings.delete.batch_size
    alike = tuple(image for image in remaining[: batch_size(tags, most)] if image.only_tags == remaining[0].only_tags)
    size = min(most, fits)
    if not remaining[0].tags:
        return alike[:size], False
    # In the storage, a digest with its tags costs the same in a repository of any size.
    if not registry.deletion.cost_grows_with_tags:
        return alike, remaining[0].only_tags
    known = store.capabilities.deletes_tags(snapshot.restarts)
    untags = remaining[0].only_tags or (len(remaining) > 1 and tags_first(remaining, tags, deletes_tags=known))
    return alike if untags else alike[:size], untags


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
    if not all(still_said(policies, doomed) for doomed in batch):
        return True
    return any(not doomed.tags for doomed in batch) and compare.compare(store, registry, snapshot).changed > 0


def _go(wiring: Wiring, snapshot: Snapshot, batch: tuple[Doomed, ...], permit: Lease, *, untags: bool) -> None:
    with removing(wiring.store, wiring.registry, snapshot.repository, permit) as remover:
        _remove(wiring, snapshot, batch, permit, remover, untags=untags)
        # A tag that is still listed because of a longer tag can be removed once this batch deleted the longer one.
        remover.still_listed(snapshot, ())


def _remove(
    wiring: Wiring, snapshot: Snapshot, batch: tuple[Doomed, ...], permit: Lease, remover: Remover, *, untags: bool
) -> None:
    def work(call: Callable[[Doomed], None], batch: Iterable[Doomed]) -> None:
        in_parallel(wiring.registry.parallel, call, batch)

    if untags:
        for taken in take_off(wiring, snapshot, batch, permit, remover, work):
            _leave_alone(wiring.store, wiring.dispatch, snapshot, taken)
    else:
        work(lambda doomed: _delete_one(wiring, snapshot, doomed, permit, remover), batch)


def _delete_one(wiring: Wiring, snapshot: Snapshot, doomed: Doomed, permit: Lease, remover: Remover) -> None:
    """Delete one doomed image: recheck → trash → DELETE → forget (safety rules 3 and 4)."""
    permit.check()
    repository = snapshot.repository
    if not still_said(wiring.policies, doomed):
        return
    if not doomed.tags:
        _delete_nameless(wiring.store, wiring.registry, wiring.dispatch, snapshot, doomed, remover)
        return
    result, manifest, touched = Taken(doomed), None, False
    for verdict in doomed.verdicts:
        check = recheck(
            wiring.store, wiring.registry, repository, doomed, verdict, fetch=manifest is None, disk=remover.storage
        )
        manifest, touched = manifest or check.manifest, touched or check.at in ("off", "tombstone", "astray")
        result.moved += [check.moved_to] if check.moved_to else []
        result.indexes |= {check.moved_to.digest} if check.moved_to and check.is_index else set()
        result.vanished += [verdict.tag.name] if check.at == "gone" else []
    manifest = manifest or (wiring.registry.client.get(repository, doomed.digest) if touched else None)
    if result.moved or len(result.vanished) == len(doomed.tags):
        result.spared = "somebody else moved or deleted its tags"
        _leave_alone(wiring.store, wiring.dispatch, snapshot, result)
    elif manifest is None:
        _finish(wiring.store, wiring.registry, wiring.dispatch, snapshot, doomed, remover)
    elif touched:
        # A crash interrupted an untag of this image: continue the untag.
        for taken in take_off(wiring, snapshot, (doomed,), permit, remover, one_by_one):
            _leave_alone(wiring.store, wiring.dispatch, snapshot, taken)
    else:
        _delete_manifest(wiring.store, wiring.registry, wiring.dispatch, snapshot, doomed, manifest, remover)


def _delete_nameless(
    store: Store, registry: Registry, dispatch: Dispatch, snapshot: Snapshot, doomed: Doomed, remover: Remover
) -> None:
    """Delete a manifest without a tag.

    If we removed its last tag, the manifest was read and saved to the trash then: its bytes are not fetched again.
    """
    if all(verdict.recorded for verdict in doomed.verdicts):
        put = store.trash.save_again(snapshot, doomed)
        if put is not SaveResult.MISSING:
            _send_delete(store, dispatch, snapshot, doomed, remover, put)
            return
    manifest = registry.client.get(snapshot.repository, doomed.digest)
    if manifest is None:
        _finish(store, registry, dispatch, snapshot, doomed, remover)
    else:
        _delete_manifest(store, registry, dispatch, snapshot, doomed, manifest, remover)


def _delete_manifest(
    store: Store,
    registry: Registry,
    dispatch: Dispatch,
    snapshot: Snapshot,
    doomed: Doomed,
    manifest: Manifest,
    remover: Remover,
) -> None:
    repository = snapshot.repository
    if not may_go(store, registry, snapshot, doomed, manifest):
        _spare(store, dispatch, repository, doomed, "it belongs to an image that is there, or cannot be read")
        return
    put = store.trash.save(snapshot, doomed, (manifest.media_type, manifest.content))
    _send_delete(store, dispatch, snapshot, doomed, remover, put)


def _send_delete(
    store: Store, dispatch: Dispatch, snapshot: Snapshot, doomed: Doomed, remover: Remover, put: SaveResult
) -> None:
    """Send the DELETE of a manifest that is kept in the trash, and forget the image.

    Args:
        put: the result of saving the manifest to the trash. If it is not kept there, it is not deleted.
    """
    repository = snapshot.repository
    if put is SaveResult.LEASED:
        _spare(store, dispatch, repository, doomed, "somebody says that it is in use (lease)")
    if put is not SaveResult.SAVED:
        return
    try:
        remover.delete(doomed.digest, doomed.tags)
    except (RegistryUnavailable, RegistryRefused):
        # The DELETE may have taken effect, and with it a tag that was just pushed again.
        store.deletions.request_healing(repository, doomed.tags)
        raise
    _forget(store, dispatch, snapshot, doomed, remover.still_listed(snapshot, doomed.tags) if doomed.tags else ())


def _finish(
    store: Store, registry: Registry, dispatch: Dispatch, snapshot: Snapshot, doomed: Doomed, remover: Remover
) -> None:
    """Finish the deletion of a manifest that no longer exists.

    Either our own DELETE was not recorded, or someone else deleted the manifest.
    """
    repository = snapshot.repository
    kept = store.trash.get(repository, doomed.digest)
    if kept:
        dangling = _dangling(registry, repository, doomed)
        # Tags that were pushed since the first save were deleted with the manifest, too.
        put = store.trash.save_again(snapshot, doomed)
        if put is SaveResult.LEASED:
            _spare(store, dispatch, repository, doomed, "somebody says that it is in use (lease)")
        if put is SaveResult.SAVED:
            _clear_dangling(store, registry, snapshot, doomed, kept, dangling, remover)
            _forget(store, dispatch, snapshot, doomed)
        return
    result = Taken(doomed)
    result.is_lost()
    _leave_alone(store, dispatch, snapshot, result)
    if not doomed.tags:
        store.history.resolve(store.history.snapshot(repository), {doomed.digest: None})


def _dangling(registry: Registry, repository: str, doomed: Doomed) -> list[str]:
    """Return the tags of a deleted manifest that the registry still lists, because it was killed during the DELETE."""
    listed = set(registry.client.tags(repository)) if doomed.tags else set()
    return [tag for tag in doomed.tags if tag in listed]


def _clear_dangling(
    store: Store,
    registry: Registry,
    snapshot: Snapshot,
    doomed: Doomed,
    kept: TrashedManifest,
    dangling: list[str],
    remover: Remover,
) -> None:
    """Remove tags that point at nothing. Over the API, only a DELETE of their manifest can remove them.

    A tag that was pushed again meanwhile points at a manifest, and its digest is not doomed any more.
    """
    if not dangling:
        return
    repository = snapshot.repository
    if remover.exact:
        remover.delete(doomed.digest, dangling)
        return
    try:
        for tag in dangling:
            store.deletions.note_own_put(repository, tag, doomed.digest)
            put = (repository, tag, kept.media_type, kept.content)
            remover.write(partial(registry.client.put, *put))
        if store.trash.save_again(snapshot, doomed) is SaveResult.SAVED:
            remover.delete(doomed.digest)
    except RegistryRefused as error:
        log.warning("tags point nowhere and cannot be removed", repository=repository, tags=dangling, error=str(error))


def _leave_alone(store: Store, dispatch: Dispatch, snapshot: Snapshot, taken: Taken) -> None:
    """Record what was found instead of a doomed image, so that the image is planned again.

    A moved tag is recorded while the tag is still known to be doomed: a user may have pushed a tag that was already
    removed.
    """
    known = {(tag.name, tag.digest) for tag in snapshot.tags} if taken.moved else set()
    # The plan may be older than the snapshot, which then knows the move already.
    moved = [tag for tag in taken.moved if (tag.name, tag.digest) not in known]
    if moved:
        # One of our deletions may have removed parts of these indexes.
        if taken.indexes:
            store.deletions.request_healing(snapshot.repository, sorted(taken.indexes))
        sightings = [(replace(tag, sighted=True), "") for tag in moved]
        store.history.adopt(snapshot, tags=sightings, indexes=frozenset(taken.indexes))
    if taken.spared:
        _spare(store, dispatch, snapshot.repository, taken.doomed, taken.spared)
    if taken.vanished:
        store.meter.count("deletes", "vanished")
        snapshot = store.history.snapshot(snapshot.repository)
        store.history.adopt(snapshot, vanished=taken.vanished, keep_plan=True, lost=taken.lost)


def _forget(store: Store, dispatch: Dispatch, snapshot: Snapshot, doomed: Doomed, listed: Collection[str] = ()) -> None:
    repository = snapshot.repository
    if store.deletions.forget(snapshot, doomed, listed):
        dispatch.enforce(repository)
    store.meter.count("deletes", "deleted")
    time_push_to_gone(store, snapshot)
    for verdict in doomed.verdicts:
        if not verdict.recorded:
            log.info("deleted", tag=verdict.tag.called(repository), digest=doomed.digest, reason=verdict.reason)


def _spare(store: Store, dispatch: Dispatch, repository: str, doomed: Doomed, why: str) -> None:
    store.outbox.undoom(repository, short(doomed.digest))
    store.meter.count("deletes", "spared")
    log.info("not deleted", repository=repository, digest=doomed.digest, why=why)
    dispatch.enforce(repository)
