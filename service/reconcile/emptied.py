"""Notice that the registry's storage is empty or was replaced, before missing tags leave the history."""

import random
from collections.abc import Collection, Mapping, Sequence

from service.domain.errors import RegistryRefused
from service.domain.retention.state import Tag
from service.registry import Registry
from service.registry.manifest import ManifestHead
from service.store import Store
from service.store.snapshot import Snapshot

_REPOSITORIES = 20
_TAGS = 5
# The clocks of Redis and of the registry may differ by this much.
_SKEW_US = 60 * 1_000_000


def refuse_emptied(
    store: Store,
    registry: Registry,
    snapshot: Snapshot,
    missing: Collection[str],
    heads: Mapping[str, ManifestHead | None],
) -> None:
    """Refuse to compare a repository whose known tags may all be missing because the storage is another one.

    A storage changes while the registry is down, or it is unmounted while the registry runs. So missing tags count as
    deleted only with a proof: a tag that is not newer than they are, or was there together with them at the last
    comparison, still points at its digest. In another repository, only a tag that is not newer is a proof. A tag that
    was pushed later proves nothing, as it may have been pushed into the empty storage.

    Raises:
        RegistryRefused: there is no such proof. Nothing counts as compared, so that nothing is deleted.
    """
    if not missing:
        return
    doomed = {name for image in store.history.doomed(snapshot.repository) for name in image.tags}
    # One of our own deletions may have removed these tags, so their absence says nothing about the storage.
    ours = doomed | store.deletions.may_have_removed(snapshot.repository)
    lost = [tag for tag in snapshot.tags if tag.name in missing and tag.name not in ours]
    if lost:
        refuse_unproved(store, registry, snapshot, lost, heads)


def refuse_unproved(
    store: Store,
    registry: Registry,
    snapshot: Snapshot,
    lost: Sequence[Tag],
    heads: Mapping[str, ManifestHead | None],
) -> None:
    """Refuse to believe that a user deleted these tags, or their images, without a proof: see `refuse_emptied`.

    Args:
        heads: tags of the repository that were looked at, with the answers.

    Raises:
        RegistryRefused: there is no proof.
    """
    newest_us = max(tag.pushed_us or 0 for tag in lost)
    older = [tag for tag in snapshot.tags if _is_proof(tag, max(newest_us, snapshot.compared_us - _SKEW_US))]
    if any(_points_as_known(heads.get(tag.name), snapshot, tag) for tag in older):
        return
    unread = [tag for tag in older if tag.name not in heads]
    if not (
        _exists(registry, snapshot, unread) or _is_proved_elsewhere(store, registry, snapshot.repository, newest_us)
    ):
        raise RegistryRefused(
            f"tags of {snapshot.repository} are missing at the registry ({len(lost)} of {len(snapshot.tags)}), and no "
            "older image was found in any repository that was checked: the storage of the registry may be empty, "
            "unmounted or another one, so nothing is changed. Check the storage; if the tags were really "
            f"deleted: pushprune reconcile {snapshot.repository}"
        )


def may_be_our_loss(store: Store, repository: str, tag: Tag) -> bool:
    """Return False if no deletion by pushprune can have removed the manifest: then a user deleted it, unheard."""
    # Each manifest that pushprune deletes is in the trash; after a collection, only the history knows of it.
    if store.trash.get(repository, tag.digest) or store.history.was_pruned(repository, tag.digest):
        return True
    # A registry whose storage is away for a moment does not show the manifest either. What pushprune put under the
    # tag would then be deleted, because the history does not know the tag any more.
    return store.deletions.own_put(repository, tag.name) is not None


def _is_proof(tag: Tag, newest_us: int) -> bool:
    """Return True if the tag was there by this time. A tag that is only unannounced may have been pushed later."""
    return not tag.unannounced and (tag.pushed_us or 0) <= newest_us


def _exists(registry: Registry, snapshot: Snapshot, tags: Sequence[Tag]) -> bool:
    """Return True if one of the first of these tags points at its digest at the registry."""
    repository, head = snapshot.repository, registry.client.head
    return any(_points_as_known(head(repository, tag.name, unless=tag.digest), snapshot, tag) for tag in tags[:_TAGS])


def _points_as_known(head: ManifestHead | None, snapshot: Snapshot, tag: Tag) -> bool:
    """Return True if a tag points at its digest, or at an earlier one: a forged push hides where the tag points."""
    return head is not None and head.digest in (tag.digest, *snapshot.revisions.get(tag.name, ()))


def _is_proved_elsewhere(store: Store, registry: Registry, repository: str, newest_us: int) -> bool:
    others = [name for name in store.history.repositories() if name != repository]
    asked = 0
    for other in random.sample(others, min(_REPOSITORIES, len(others))):
        snapshot = store.history.snapshot(other)
        older = [tag for tag in snapshot.tags if _is_proof(tag, newest_us)]
        if _exists(registry, snapshot, older[:1]):
            return True
        asked += bool(older)
        if asked == _TAGS:
            break
    return False
