"""Heal a lost race: restore what a deletion by pushprune removed although it had just been pushed (safety rule 5)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.domain.errors import LeaseLost, ManifestRefused, NotRestorable, RegistryRefused, RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.oci.manifest import references_of
from service.domain.retention.plan import Doomed, Plan
from service.domain.retention.state import Tag
from service.log import log
from service.prune.batch import open_batch
from service.prune.untag import untag_again
from service.reconcile.emptied import may_be_our_loss, refuse_unproved
from service.registry.manifest import Manifest, ManifestHead
from service.store import Store
from service.store.history import name_of
from service.store.keys import short
from service.store.lease import Lease
from service.store.snapshot import Snapshot
from service.store.trash import TrashedManifest
from service.wiring import Wiring

_CROSSINGS = 5


def heal(wiring: Wiring, snapshot: Snapshot, plan: Plan) -> bool:
    """Restore everything that a deletion by pushprune may have removed, from the registry or the trash.

    An image that the plan does not keep is left to the deletion, which finishes its work. An image that the registry
    refuses must still be restored, and does not count in a plan meanwhile. Only a refusal of the bytes themselves is
    final.

    Returns:
        True if the registry refused an image for the first time: then the plan is out of date.

    Raises:
        LeaseLost: a collection holds the registry, so nothing may be written; the sweep sends this again.
        RegistryUnavailable: everything that is not looked at yet stays in heal:R.
    """
    _request_healing_of_lost(wiring.store, snapshot)
    if not snapshot.heal:
        return False
    repository, is_news = snapshot.repository, False
    doomed = _names(wiring.store.history.doomed(repository))
    # A worker with another policy than the one in force has no plan, and must not undo what a user asked for.
    undecided = (_names(plan.doomed) | snapshot.manual_deletions.keys()) - doomed
    with wiring.store.leases.write(heals=True) as permit:
        if permit is None:
            raise LeaseLost("a garbage collection is running; restoring continues after it")
        healing = _Healing(wiring, snapshot, permit)
        for member in snapshot.heal:
            permit.check()
            name = name_of(member[0])
            live = _live(snapshot, name)
            digest = name if ":" in name else live.digest if live else None
            if (doomed | undecided).intersection((name, digest)) or (name in tombstone.DIGESTS and doomed | undecided):
                # The deletion finishes its work on this name. If its plan is dropped instead, healing runs again.
                continue
            try:
                reason = healing.restore_if_missing(name, digest)
            except (RegistryRefused, NotRestorable) as error:
                final = isinstance(error, (ManifestRefused, NotRestorable))
                is_first = wiring.store.deletions.not_restored(repository, member, digest or "", error, final=final)
                is_news |= is_first
                write, tag = log.error if is_first else log.info, f"{repository}:{name}"
                write("an image was not restored", tag=tag, digest=digest, error=str(error), final=final)
            else:
                wiring.store.deletions.healed(repository, member, digest or "", reason)
    return is_news


def _request_healing_of_lost(store: Store, snapshot: Snapshot) -> None:
    """Request healing of lost tags whose image was deleted by a user, as a notification reported meanwhile."""
    if not snapshot.lost:
        return
    live = [tag for tag in snapshot.tags if tag.name in snapshot.lost]
    names = [tag.name for tag in live if store.history.deleted_by_others(snapshot.repository, tag)]
    if names:
        store.deletions.request_healing(snapshot.repository, names)


def _names(doomed: Iterable[Doomed]) -> set[str | None]:
    """Return the tags to be deleted, and the digests to be deleted with them."""
    return {name for image in doomed for name in (*image.tags, *(() if image.only_tags else (image.digest,)))}


def _live(snapshot: Snapshot, name: str) -> Tag | None:
    return next((tag for tag in snapshot.tags if tag.name == name), None)


@dataclass(slots=True)
class _Parts:
    """The parts of an index.

    Attributes:
        listed: digests that the index lists, at any depth.
        restored: digests that were restored now.
    """

    listed: set[str] = field(default_factory=set)
    restored: set[str] = field(default_factory=set)


class _Healing:
    """The healing of one repository, while the right to write is held."""

    def __init__(self, wiring: Wiring, snapshot: Snapshot, permit: Lease) -> None:
        self._wiring, self._snapshot, self._permit = wiring, snapshot, permit
        self._store, self._registry, self._restore = wiring.store, wiring.registry, wiring.restore
        self._repository = snapshot.repository

    def restore_if_missing(self, name: str, digest: str | None) -> str | None:
        """Restore one tag, or the parts of one index, if necessary; return the reason of the restore, or None.

        Args:
            digest: the index, or the digest that the tag must point at; None for a tag that is not live.
        """
        if digest is None:
            self._untag_deleted(name)
            return None
        return self._restore_image(name, digest)

    def _untag_deleted(self, tag: str) -> None:
        """Remove a tag that is not live, if our healing pushed it while its user deleted it.

        A restored tag is kept: its deletion was reported, but the registry has it again.
        """
        if self._store.deletions.is_restored(self._repository, tag):
            return
        current = self._registry.client.head(self._repository, tag)
        if current is not None and self._is_ours(tag, current):
            log.warning("healing pushed a tag that its user had deleted; it is deleted again", tag=tag)
            with open_batch(self._wiring, self._snapshot, self._permit) as batch:
                untag_again(batch, tag, current.digest)
            if current.digest not in tombstone.DIGESTS:
                self._store.deletions.untagged_again(self._repository, tag, current.digest)

    def _is_ours(self, tag: str, current: ManifestHead) -> bool:
        """Return True if the tag points at a manifest that we pushed: a tombstone, or a healed image."""
        own = self._store.deletions.own_put(self._repository, tag)
        return current.digest in tombstone.DIGESTS or current.digest == own

    def _restore_image(self, name: str, digest: str) -> str | None:
        """Restore what is missing; return the reason, or None if nothing was missing. The parts first, then the tag."""
        repository = self._repository
        if name in tombstone.DIGESTS:
            self._store.deletions.touch(repository, name)
            with open_batch(self._wiring, self._snapshot, self._permit) as batch:
                # A crash may have left a tombstone behind.
                batch.delete(name)
            return None
        current = self._registry.client.get(repository, digest)
        if current is None and ":" in name:
            # Read again: a user may have deleted it meanwhile.
            restored = self._store.history.snapshot(repository).restored
            if digest in restored and self._restore.restore_again(repository, digest, self._permit):
                return "a deletion that had begun before its restore removed it"
            self._note_missing_index(name)
            # An index that does not exist needs no parts.
            return None
        if current is None and self._was_deleted_by_user(name):
            return None
        manifest = current or self._store.trash.get(repository, digest)
        parts = _Parts()
        if manifest:
            self._restore_parts(manifest, parts)
        live = _live(self._snapshot, name)
        is_restored = live is not None and self._restore_tag(live, manifest)
        if is_restored or current:
            self._restore_referrers(name, digest, parts, is_restored=is_restored)
        if not is_restored and not parts.restored:
            return None
        log.warning(
            "a deleted tag was restored", tag=f"{repository}:{name}", digest=digest, children=len(parts.restored)
        )
        return "a deletion by pushprune had removed it or a part of it; it was restored as last pushed"

    def _restore_referrers(self, name: str, digest: str, parts: _Parts, *, is_restored: bool) -> None:
        """Restore the referrers that were deleted with an image whose deletion was a mistake and was undone.

        Restored are the referrers deleted after the restored image, and those deleted after its last push, which was
        not reported yet. Referrers deleted before that push remain deleted.
        """
        repository = self._repository
        is_ours = is_restored or (":" not in name and self._store.deletions.own_put(repository, name) == digest)
        live = _live(self._snapshot, name)
        pushed_us = live.pushed_us if live else None
        since: dict[str, int] = {}
        for image in (digest, *parts.listed):
            after_us = self._store.trash.trashed_us(repository, image) if is_ours or image in parts.restored else None
            after_us = after_us if after_us is not None else pushed_us
            if after_us is not None:
                since[image] = after_us
        if not since:
            return
        reason = "its image was restored: a deletion by pushprune had overlapped its push"
        restored = self._restore.restore_referrers(repository, since, self._permit, "pushprune", reason)
        if restored:
            log.warning("referrers were restored", repository=repository, digest=digest, referrers=restored)

    def _note_missing_index(self, index: str) -> None:
        """Record that an index without a tag does not exist, so that it no longer keeps its parts.

        Our deletion met its last push, which was reported later: the order of the two could not be known.
        """
        tagged = {tag.digest for tag in self._snapshot.tags}
        if index not in tagged and index in {known.digest for known in self._snapshot.untagged}:
            self._store.facts.resolve(self._snapshot, {index: None})

    def _was_deleted_by_user(self, tag: str) -> bool:
        """Return True if a user deleted the manifest of the tag, which does not exist; then the history drops the tag.

        Our deletion may have removed the tag before, and the registry reports only the deletion of tags that it finds.

        Raises:
            RegistryRefused: nothing proves that the registry has the right storage at this moment.
        """
        live = next(known for known in self._snapshot.tags if known.name == tag)
        if not self._store.history.deleted_by_others(self._repository, live):
            if may_be_our_loss(self._store, self._repository, live):
                return False
            # A registry whose storage is away for a moment answers the same.
            refuse_unproved(self._store, self._registry, self._snapshot, [live], {tag: None})
        self._store.facts.adopt(self._snapshot, vanished=[tag], lost=True)
        # If the tag points at a manifest that we pushed, the next look removes the tag.
        self._store.deletions.request_healing(self._repository, [tag])
        return True

    def _restore_parts(self, manifest: Manifest | TrashedManifest, parts: _Parts) -> None:
        """Restore missing parts of an index from the trash, at any depth, and add their digests to `parts`.

        A nested index that exists is read, too: the event of its push may be lost, and one of its parts deleted since.
        """
        repository = self._repository
        references = references_of(manifest.media_type, manifest.content)
        if not references.readable:
            return
        self._store.facts.learn(repository, {manifest.digest: references})
        parts.listed.update(references.children)
        for child in references.children:
            kept = self._store.trash.get(repository, child)
            inner = kept or (self._registry.client.get(repository, child) if child in references.indexes else None)
            if inner:
                self._restore_parts(inner, parts)
            if kept and self._registry.client.head(repository, child) is None:
                self._put(child, kept)
                parts.restored.add(child)

    def _put(self, reference: str, manifest: Manifest | TrashedManifest) -> str:
        repository, put = self._repository, self._registry.deletion.put
        with self._permit.writing():
            try:
                return put(repository, reference, manifest.media_type, manifest.content)
            except ManifestRefused:
                # If the event of the push came late, an online collection may have deleted the links of its blobs.
                blobs = [blob for blob, _ in references_of(manifest.media_type, manifest.content).blobs]
                if self._registry.missing_blob(repository, blobs):
                    raise
                return put(repository, reference, manifest.media_type, manifest.content)

    def _restore_tag(self, tag: Tag, manifest: Manifest | TrashedManifest | None) -> bool:
        """Restore a tag that is missing, or that our own push moved away from a user's newer push. True if restored."""
        repository = self._repository
        current = self._registry.client.head(repository, tag.name)
        if current is not None and (current.digest == tag.digest or not self._is_ours(tag.name, current)):
            return False
        if current is not None and current.digest in tombstone.DIGESTS:
            self._store.deletions.request_healing(repository, [current.digest])
        elif current is not None and not self._store.deletions.may_have_met_own_put(repository, tag):
            # No write of ours met that push, so it would still be there: its report is not believed.
            return False
        where = f"{repository}:{tag.name}"
        for _ in range(_CROSSINGS):
            if manifest is None:
                raise NotRestorable(f"neither the registry nor the trash has {tag.digest}")
            self._store.deletions.note_own_put(repository, tag.name, tag.digest)
            stored = self._put(tag.name, manifest)
            if stored != tag.digest:
                raise RegistryUnavailable(f"the registry stored {where} as {stored} instead of {tag.digest}")
            live = next((now for now in self._store.history.live(repository) if now.name == tag.name), None)
            # A user has deleted the tag meanwhile: the next healing deletes the tag that was pushed here.
            if live is None:
                self._store.deletions.request_healing(repository, [tag.name])
                return False
            if short(live.digest) == short(tag.digest):
                return True
            tag, manifest = live, self._registry.client.get(repository, live.digest)
        raise RegistryUnavailable(f"{where} is pushed faster than it can be restored; it is tried again")
