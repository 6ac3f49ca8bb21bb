"""Heal a lost race: restore what one of our deletions removed although it had just been pushed (safety rule 5)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.domain.errors import LeaseLost, ManifestRefused, NotRestorable, RegistryRefused, RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.oci.manifest import UnreadableManifest, read_references
from service.domain.retention.plan import Doomed, Plan
from service.domain.retention.state import Tag
from service.log import log
from service.prune.remover import removing
from service.prune.untag import take_back
from service.registry import Registry
from service.registry.manifest import Manifest, ManifestHead
from service.restore.restore import Restore
from service.store import Store
from service.store.history import name_of
from service.store.keys import short
from service.store.lease import Lease
from service.store.snapshot import Snapshot
from service.store.trash import TrashedManifest
from service.wiring import Wiring

_CROSSINGS = 5


def heal(wiring: Wiring, snapshot: Snapshot, plan: Plan) -> bool:
    """Restore everything that one of our deletions may have removed, from the registry or the trash.

    An image that the plan does not keep is left to the deletion, which finishes its work. An image that the registry
    refuses must still be restored, and does not count in a plan meanwhile. Only a refusal of the bytes themselves is
    final.

    Returns:
        True if the registry refused an image for the first time: then the plan is out of date.

    Raises:
        LeaseLost: a collection holds the registry, so nothing may be written; the sweep sends this again.
        RegistryUnavailable: everything that is not looked at yet stays in heal:R.
    """
    _look_at_lost(wiring.store, snapshot)
    if not snapshot.heal:
        return False
    repository, is_news = snapshot.repository, False
    doomed = _names(wiring.store.history.doomed(repository))
    undecided = _names(plan.doomed) - doomed
    with wiring.store.leases.write(heals=True) as permit:
        if permit is None:
            raise LeaseLost("a collection holds the registry; healing goes on after it")
        for member in snapshot.heal:
            permit.check()
            name = name_of(member[0])
            digest = name if ":" in name else _digest_of(snapshot, name)
            if (doomed | undecided).intersection((name, digest)) or (name == tombstone.DIGEST and doomed | undecided):
                # The deletion finishes this. If its plan is dropped instead, this is looked at then.
                continue
            try:
                reason = _look_at(wiring, snapshot, name, digest, permit)
            except (RegistryRefused, NotRestorable) as error:
                final = isinstance(error, (ManifestRefused, NotRestorable))
                is_first = wiring.store.deletions.not_restored(repository, member, digest or "", error, final=final)
                is_news |= is_first
                say = log.error if is_first else log.info
                say("not restored", tag=f"{repository}:{name}", digest=digest, error=str(error), final=final)
            else:
                wiring.store.deletions.healed(repository, member, digest or "", reason)
    return is_news


def _look_at(wiring: Wiring, snapshot: Snapshot, name: str, digest: str | None, permit: Lease) -> str | None:
    """Restore one tag, or the parts of one index, if necessary; return the reason of the restore, or None.

    Args:
        digest: the index, or the digest that the tag must point at; None for a tag that is not live.
    """
    if digest is None:
        _leave_deleted(wiring, snapshot, name, permit)
        return None
    return _heal(wiring.store, wiring.registry, wiring.restore, snapshot, name, digest, permit)


def _look_at_lost(store: Store, snapshot: Snapshot) -> None:
    """Look again at lost tags once a notification says that a user had deleted their image."""
    live = [tag for tag in snapshot.tags if tag.name in snapshot.lost]
    names = [tag.name for tag in live if store.history.deleted_by_others(snapshot.repository, tag)]
    if names:
        store.deletions.request_healing(snapshot.repository, names)


def _leave_deleted(wiring: Wiring, snapshot: Snapshot, tag: str, permit: Lease) -> None:
    """Remove a tag that is not live, if our healing pushed it while its user deleted it.

    A restored tag is kept: its deletion was reported, but the registry has it again.
    """
    if wiring.store.deletions.is_restored(snapshot.repository, tag):
        return
    standing = wiring.registry.client.head(snapshot.repository, tag)
    if standing is not None and _is_ours(wiring.store, snapshot.repository, tag, standing):
        log.warning("a tag that its user deleted stands where we put it; it is taken off", tag=tag)
        take_back(wiring, snapshot, tag, standing.digest, permit)
        if standing.digest != tombstone.DIGEST:
            wiring.store.deletions.untagged_again(snapshot.repository, tag, standing.digest)


def _names(doomed: Iterable[Doomed]) -> set[str | None]:
    """Return the tags to be deleted, and the digests to be deleted with them."""
    return {name for image in doomed for name in (*image.tags, *(() if image.only_tags else (image.digest,)))}


def _is_ours(store: Store, repository: str, tag: str, standing: ManifestHead) -> bool:
    """Return True if the tag points at a manifest that we pushed: a tombstone, or a healed image."""
    return standing.digest in (tombstone.DIGEST, store.deletions.own_put(repository, tag))


def _digest_of(snapshot: Snapshot, tag: str) -> str | None:
    return next((live.digest for live in snapshot.tags if live.name == tag), None)


def _heal(
    store: Store, registry: Registry, restore: Restore, snapshot: Snapshot, name: str, digest: str, permit: Lease
) -> str | None:
    """Restore what is missing; return the reason, or None if nothing was missing. The parts first, then the tag."""
    repository = snapshot.repository
    if name == tombstone.DIGEST:
        store.deletions.touch(repository, name)
        with removing(store, registry, repository, permit) as remover:
            # A crash may have left a tombstone behind.
            remover.delete(name)
        return None
    standing = registry.client.get(repository, digest)
    if standing is None and ":" in name:
        _note_gone(store, snapshot, name)
        # An index that does not exist needs no parts.
        return None
    if standing is None and _was_let_go(store, snapshot, name):
        return None
    manifest = standing or store.trash.get(repository, digest)
    parts = _Parts()
    if manifest:
        _put_children_back(store, registry, repository, manifest, permit, parts)
    back = ":" not in name and _put_tag_back(
        store, registry, repository, Tag(name, digest, _pushed_us(snapshot, name)), manifest, permit
    )
    if back or standing:
        _restore_referrers(store, restore, snapshot, name, digest, parts, permit, is_restored=back)
    if not back and not parts.restored:
        return None
    log.warning("healed", tag=f"{repository}:{name}", digest=digest, children=len(parts.restored))
    return "a delete of ours had taken it, or a part of it, along; it stands again at its last push"


@dataclass(slots=True)
class _Parts:
    """The parts of an index.

    Attributes:
        listed: digests that the index lists, at any depth.
        restored: digests that were restored now.
    """

    listed: set[str] = field(default_factory=set)
    restored: set[str] = field(default_factory=set)


def _restore_referrers(
    store: Store,
    restore: Restore,
    snapshot: Snapshot,
    name: str,
    digest: str,
    parts: _Parts,
    permit: Lease,
    *,
    is_restored: bool,
) -> None:
    """Restore the referrers that were deleted with an image that we deleted by mistake and restored.

    Restored are the referrers deleted after the restored image, and those deleted after its last push, which was not
    reported yet. Referrers deleted before that push remain deleted.
    """
    repository = snapshot.repository
    is_ours = is_restored or (":" not in name and store.deletions.own_put(repository, name) == digest)
    pushed_us = next((tag.pushed_us for tag in snapshot.tags if tag.name == name), None)
    since: dict[str, int] = {}
    for image in (digest, *parts.listed):
        after_us = store.trash.trashed_us(repository, image) if is_ours or image in parts.restored else None
        after_us = after_us if after_us is not None else pushed_us
        if after_us is not None:
            since[image] = after_us
    if not since:
        return
    reason = "its image was restored: a delete of pushprune had met a push of it"
    restored = restore.restore_referrers(repository, since, permit, "pushprune", reason)
    if restored:
        log.warning("healed", repository=repository, digest=digest, referrers=restored)


def _note_gone(store: Store, snapshot: Snapshot, index: str) -> None:
    """Record that an index without a tag does not exist, so that it no longer keeps its parts.

    Our deletion met its last push, which was reported later: the order of the two could not be known.
    """
    if index not in {tag.digest for tag in snapshot.tags} and index in {known.digest for known in snapshot.untagged}:
        store.history.resolve(snapshot, {index: None})


def _was_let_go(store: Store, snapshot: Snapshot, tag: str) -> bool:
    """Return True if a user deleted the manifest after the last push of the tag; then the history drops the tag.

    Our deletion may have removed the tag before, and the registry reports only the deletion of tags that it finds.
    """
    live = next(known for known in snapshot.tags if known.name == tag)
    if not store.history.deleted_by_others(snapshot.repository, live):
        return False
    store.history.adopt(snapshot, vanished=[tag], lost=True)
    # If the tag points at a manifest that we pushed, the next look removes the tag.
    store.deletions.request_healing(snapshot.repository, [tag])
    return True


def _put_children_back(
    store: Store,
    registry: Registry,
    repository: str,
    manifest: Manifest | TrashedManifest,
    permit: Lease,
    parts: _Parts,
) -> None:
    """Restore missing parts of an index from the trash, at any depth, and add their digests to `parts`.

    A nested index that exists is read, too: the event of its push may be lost, and one of its parts deleted since.
    """
    try:
        references = read_references(manifest.media_type, manifest.content)
    except UnreadableManifest:
        return
    store.history.learn(repository, {manifest.digest: references})
    parts.listed.update(references.children)
    for child in references.children:
        kept = store.trash.get(repository, child)
        inner = kept or (registry.client.get(repository, child) if child in references.indexes else None)
        if inner:
            _put_children_back(store, registry, repository, inner, permit, parts)
        if kept and registry.client.head(repository, child) is None:
            with permit.writing():
                registry.deletion.put(repository, child, kept.media_type, kept.content)
            parts.restored.add(child)


def _pushed_us(snapshot: Snapshot, tag: str) -> int | None:
    return next((live.pushed_us for live in snapshot.tags if live.name == tag), None)


def _put_tag_back(
    store: Store,
    registry: Registry,
    repository: str,
    tag: Tag,
    manifest: Manifest | TrashedManifest | None,
    permit: Lease,
) -> bool:
    """Restore a tag that is missing, or that our own push moved away from a user's newer push. True if restored."""
    standing = registry.client.head(repository, tag.name)
    if standing is not None and (standing.digest == tag.digest or not _is_ours(store, repository, tag.name, standing)):
        return False
    if standing is not None and standing.digest == tombstone.DIGEST:
        store.deletions.request_healing(repository, [tombstone.DIGEST])
    elif standing is not None and not store.deletions.may_have_met_own_put(repository, tag):
        # No write of ours met that push, so it would still be there: its report is not believed.
        return False
    where = f"{repository}:{tag.name}"
    for _ in range(_CROSSINGS):
        if manifest is None:
            raise NotRestorable(f"neither the registry nor the trash has {tag.digest}")
        store.deletions.note_own_put(repository, tag.name, tag.digest)
        with permit.writing():
            stored = registry.deletion.put(repository, tag.name, manifest.media_type, manifest.content)
        if stored != tag.digest:
            raise RegistryUnavailable(f"the registry stored {where} as {stored} instead of {tag.digest}")
        live = next((now for now in store.history.live(repository) if now.name == tag.name), None)
        # A user has deleted the tag meanwhile: the next look removes what was pushed here.
        if live is None:
            store.deletions.request_healing(repository, [tag.name])
            return False
        if short(live.digest) == short(tag.digest):
            return True
        tag, manifest = live, registry.client.get(repository, live.digest)
    raise RegistryUnavailable(f"{where} is pushed faster than it can be put back; it is looked at again")
