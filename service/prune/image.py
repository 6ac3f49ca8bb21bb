"""Delete one doomed image: recheck → trash → DELETE → forget (safety rules 3 and 4)."""

from functools import partial

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.retention.plan import Doomed
from service.log import log
from service.prune.batch import LEASED, NEEDED, Batch, ImageOutcome, traced
from service.prune.parallel import one_by_one
from service.prune.recheck import RecheckState, is_of_current_policy, may_be_deleted, recheck
from service.prune.still_listed import still_listed
from service.prune.untag import untag
from service.registry.manifest import Manifest
from service.store.trash import SaveResult


def delete_image(batch: Batch, doomed: Doomed) -> None:
    """Delete one doomed image, or record the reason why it is not deleted."""
    with traced("delete image", doomed):
        _delete_image(batch, doomed)


def _delete_image(batch: Batch, doomed: Doomed) -> None:
    batch.permit.check()
    if not is_of_current_policy(batch.policies, doomed):
        return
    if not doomed.tags:
        _delete_untagged(batch, doomed)
        return
    outcome, manifest, is_untagging = ImageOutcome(doomed), None, False
    for verdict in doomed.verdicts:
        check = recheck(batch, doomed, verdict, fetch=manifest is None, storage=batch.storage)
        manifest = manifest or check.manifest
        is_untagging |= check.state in (RecheckState.REMOVED, RecheckState.TOMBSTONE, RecheckState.HEALED)
        outcome.moved += [check.moved_to] if check.moved_to else []
        outcome.indexes |= {check.moved_to.digest} if check.moved_to and check.is_index else set()
        outcome.vanished += [verdict.tag.name] if check.state is RecheckState.VANISHED else []
    manifest = manifest or (batch.registry.client.get(batch.repository, doomed.digest) if is_untagging else None)
    if outcome.moved or len(outcome.vanished) == len(doomed.tags):
        outcome.spared = "another client moved or deleted its tags"
        batch.record(outcome)
    elif manifest is None:
        _finish(batch, doomed)
    elif is_untagging:
        # A crash interrupted an untag of this image: continue the untag.
        for result in untag(batch, (doomed,), one_by_one, step=1):
            batch.record(result)
    else:
        _delete_manifest(batch, doomed, manifest)


def _delete_untagged(batch: Batch, doomed: Doomed) -> None:
    """Delete a manifest without a tag.

    If we removed its last tag, the manifest was read and saved to the trash then: its bytes are not fetched again.
    """
    if all(verdict.recorded for verdict in doomed.verdicts):
        saved = batch.store.trash.save_again(batch.snapshot, doomed)
        if saved is not SaveResult.MISSING:
            _send_delete(batch, doomed, saved)
            return
    manifest = batch.registry.client.get(batch.repository, doomed.digest)
    if manifest is None:
        _finish(batch, doomed)
    else:
        _delete_manifest(batch, doomed, manifest)


def _delete_manifest(batch: Batch, doomed: Doomed, manifest: Manifest) -> None:
    if not may_be_deleted(batch, doomed, manifest):
        batch.spare(doomed, NEEDED)
        return
    saved = batch.store.trash.save(batch.snapshot, doomed, (manifest.media_type, manifest.content))
    _send_delete(batch, doomed, saved)


def _send_delete(batch: Batch, doomed: Doomed, saved: SaveResult) -> None:
    """Send the DELETE of a manifest, and forget the image. Nothing is sent if the trash does not have the manifest."""
    if saved is SaveResult.LEASED:
        batch.spare(doomed, LEASED)
    if saved is not SaveResult.SAVED:
        return
    try:
        is_deleted = batch.delete(doomed.digest, doomed.tags)
    except (RegistryUnavailable, RegistryRefused):
        # The DELETE may have taken effect, and with it a tag that was just pushed again.
        batch.store.deletions.request_healing(batch.repository, doomed.tags)
        raise
    if not is_deleted and not batch.exact:
        # The recheck proves where a tag points, also if its manifest does not exist any more.
        _clear_dangling(batch, doomed, _dangling(batch, doomed))
    batch.forget(doomed, still_listed(batch, doomed.tags) if doomed.tags else ())


def _finish(batch: Batch, doomed: Doomed) -> None:
    """Finish the deletion of a manifest that no longer exists.

    Either our own DELETE was not recorded, or another client deleted the manifest.
    """
    if batch.store.trash.get(batch.repository, doomed.digest):
        dangling = _dangling(batch, doomed)
        # Tags that were pushed since the first save were deleted with the manifest, too.
        saved = batch.store.trash.save_again(batch.snapshot, doomed)
        if saved is SaveResult.LEASED:
            batch.spare(doomed, LEASED)
        if saved is SaveResult.SAVED:
            _clear_dangling(batch, doomed, dangling)
            batch.forget(doomed)
        return
    outcome = ImageOutcome(doomed)
    outcome.note_lost()
    batch.record(outcome)
    if not doomed.tags:
        batch.store.facts.resolve(batch.store.history.snapshot(batch.repository), {doomed.digest: None})


def _dangling(batch: Batch, doomed: Doomed) -> list[str]:
    """Return the tags of a deleted manifest that the registry still lists, because it was killed during the DELETE."""
    listed = set(batch.registry.client.tags(batch.repository)) if doomed.tags else set()
    return [tag for tag in doomed.tags if tag in listed]


def _clear_dangling(batch: Batch, doomed: Doomed, dangling: list[str]) -> None:
    """Remove tags that point at nothing. Over the API, only a DELETE of their manifest can remove them.

    A tag that was pushed again meanwhile points at a manifest, and its digest is not doomed any more.
    """
    trashed = batch.store.trash.get(batch.repository, doomed.digest)
    if not dangling or trashed is None:
        return
    if batch.exact:
        batch.delete(doomed.digest, dangling)
        return
    repository = batch.repository
    try:
        for tag in dangling:
            batch.store.deletions.note_own_put(repository, tag, doomed.digest)
            put = (repository, tag, trashed.media_type, trashed.content)
            batch.write(partial(batch.registry.client.put, *put))
        if batch.store.trash.save_again(batch.snapshot, doomed) is SaveResult.SAVED:
            batch.delete(doomed.digest)
    except RegistryRefused as error:
        log.warning(
            "tags point at no manifest and cannot be removed", repository=repository, tags=dangling, error=str(error)
        )
