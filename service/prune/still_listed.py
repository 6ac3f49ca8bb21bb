"""Notice tags that the registry still lists after it answered that they are deleted.

Distribution 2.8 on object storage answers 202 and leaves a tag `X` while a tag `X-…` or `X.…` exists (upstream issue
3142). Such a tag points at nothing; once no other tag begins with its name, it can be removed. Until then no request
can remove it: the storage driver ends its loop at the keys of the longer name, also when the tag is at a tombstone.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import partial

from service.domain.oci import tombstone
from service.domain.policy.units import spell_count
from service.log import log
from service.prune.batch import Batch
from service.registry import Registry
from service.registry.listing import STILL_LISTED
from service.store import Store

_SHOWN = 5


def still_listed(batch: Batch, deleted: Collection[str]) -> frozenset[str]:
    """Return those of these deleted tags that are still listed, and remove what was left before as far as possible.

    The registry is asked only where a tag could be left, and not again once it was seen to leave none.
    """
    if batch.exact:
        return frozenset()
    with batch.listing:
        return _still_listed(batch, deleted)


def _still_listed(batch: Batch, deleted: Collection[str]) -> frozenset[str]:
    store, registry, snapshot = batch.store, batch.registry, batch.snapshot
    repository, restarts = snapshot.repository, snapshot.restarts
    suspects = {tag for tag in deleted if _longer(tag, batch.tag_names)}
    leaves = batch.leaves_tags if registry.storage is None or not registry.storage.is_on_disk else False
    # Distribution 3, which deletes single tags, leaves none.
    if leaves is False or (not suspects and not leaves) or store.capabilities.deletes_tags(restarts):
        return frozenset()
    before = store.deletions.dangling(repository)
    if not suspects and not before:
        return frozenset()
    listed = set(registry.client.tags(repository))
    dangling = {tag for tag in (suspects | before) & listed if _points_nowhere(registry, repository, tag)}
    if dangling & suspects:
        _note_leaves_tags(batch, leaves=True)
    elif not before and any(_longer(tag, sorted(listed)) for tag in suspects - listed):
        _note_leaves_tags(batch, leaves=False)
    removed = _remove_unprotected(batch, dangling, listed)
    _warn(store, repository, dangling - removed, before)
    return frozenset(deleted) & (dangling - removed)


def _points_nowhere(registry: Registry, repository: str, tag: str) -> bool:
    """True if a listed tag points at nothing, or at a tombstone: that exists again while other tags are deleted."""
    head = registry.client.head(repository, tag)
    return head is None or head.digest in tombstone.DIGESTS


def _note_leaves_tags(batch: Batch, *, leaves: bool) -> None:
    batch.leaves_tags = leaves
    batch.store.capabilities.note_leaves_tags(batch.snapshot.restarts, able=leaves)


def _longer(tag: str, names: Sequence[str]) -> bool:
    """True if another tag begins with this one's name and `-` or `.`. names: sorted."""
    for prefix in (f"{tag}-", f"{tag}."):
        place = bisect_left(names, prefix)
        if place < len(names) and names[place].startswith(prefix):
            return True
    return False


def _remove_unprotected(batch: Batch, dangling: Collection[str], listed: set[str]) -> set[str]:
    """Remove the tags that no listed tag protects any more, and return them.

    A tag that points at nothing is removed only by the DELETE of a manifest, so a tombstone is pushed under it and
    deleted.
    """
    removed: set[str] = set()
    store, registry, repository = batch.store, batch.registry, batch.repository
    for tag in sorted(dangling, key=len, reverse=True):
        if _longer(tag, sorted(listed - removed)):
            continue
        asked_ms = store.deletions.request_healing(repository, [tombstone.FIRST.digest, tag])
        batch.write(partial(registry.client.put, repository, tag, tombstone.MEDIA_TYPE, tombstone.FIRST.content))
        batch.write(partial(registry.client.delete, repository, tombstone.FIRST.digest))
        store.deletions.healed(repository, (tombstone.FIRST.digest, asked_ms), "", None)
        removed.add(tag)
    return removed


def _warn(store: Store, repository: str, tags: Collection[str], before: Collection[str]) -> None:
    if set(tags) == set(before):
        return
    store.deletions.note_dangling(repository, tags)
    about = f"{STILL_LISTED}{repository}"
    if not tags:
        store.outbox.end_trouble(about)
        return
    shown = ", ".join(sorted(tags)[:_SHOWN]) + (" and more" if len(tags) > _SHOWN else "")
    message = (
        f"the registry still lists {spell_count(len(tags), 'deleted tag')} of {repository}, which cannot be pulled "
        f"({shown}): Distribution 2.8 on object storage leaves a tag while another begins with its name and - or . ; "
        "pushprune removes it once there is no such tag. Upgrade the registry to 3"
    )
    log.error("the registry still lists deleted tags", repository=repository, tags=sorted(tags))
    store.outbox.note_trouble(about, message)
