"""Undo: put back what was deleted, its parts first, as long as no collection may have taken its layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.errors import ManifestRefused, NotRestorable
from service.domain.history.deleted import Deleted
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.domain.retention.state import subject_of
from service.log import log
from service.registry.client import Manifest, RegistryClient
from service.registry.disk import Unlinker
from service.registry.putting import put
from service.restore.candidates import Undoable
from service.store.deletions import Removals
from service.store.history import History
from service.store.lease import Lease, Leases
from service.store.restorations import Restorations, Restored
from service.store.trash import Trash

LEASE_S = 86_400


@dataclass(frozen=True, slots=True)
class Undone:
    """What is back. tags: those that stand again; parts: manifests of an index that had to be put back with it.

    referrers: tags, or digests, of signatures and the like that went after it, and are back as well. kept_until_us:
    until when no policy deletes it again (µs), None where it is not held. replaced: the digest that lost the tag for
    it, which nobody deletes for a day; "" where none did, or that was forced.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    parts: int
    referrers: tuple[str, ...]
    kept_until_us: int | None
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class _Tree:
    """A manifest and what must be put before it. missing: what the registry does not have, the deepest first."""

    manifest: Manifest
    references: References
    missing: tuple[Manifest, ...]


@dataclass(frozen=True)
class Undo:
    """Restores from the trash. Raises StoreUnavailable, RegistryUnavailable and RegistryRefused beside its own."""

    history: History
    trash: Trash
    removals: Removals
    restorations: Restorations
    leases: Leases
    registry: RegistryClient | None = field(repr=False)
    unlinker: Unlinker | None = field(default=None, repr=False)

    def deleted(self, repository: str) -> tuple[Deleted, ...]:
        """What can still be put back in a repository, the latest deletion first."""
        return self.trash.deleted(repository)

    def reachable(self, repository: str) -> frozenset[str]:
        """The digests that a tag may be put back to, as far as is known: in the registry, or in the trash."""
        return self.standing(repository) | self.trash.digests(repository)

    def standing(self, repository: str) -> frozenset[str]:
        """Return the digests that the registry has, as far as is known."""
        known = self.history.snapshot(repository)
        return frozenset({tag.digest for tag in known.tags} | {one.digest for one in known.untagged})

    def restore(
        self,
        repository: str,
        *,
        tag: str | None = None,
        digest: str | None = None,
        as_tag: str | None = None,
        force: bool = False,
        over: str | None = None,
        lease_s: int = LEASE_S,
        by: str = "",
    ) -> Undone:
        """Puts a tag, or a digest with the tags it went with, back where it stood, with its original push time.

        Of several deletions of a tag the latest is undone, or that of the digest; a digest that the tag has left for
        another is put back as well. as_tag: under this name instead. force: also where the tag has been pushed again
        since. over: also where it stands at this digest; then it keeps the place of that push, and what stood there is
        not deleted for a day. lease_s: for how long no policy deletes it again, in seconds; 0 = it may go with the next
        plan. by: who wants it, for the history.
        Raises NotRestorable with one sentence that says why not.
        """
        with self.leases.write() as permit:
            if permit is None:
                raise NotRestorable("a garbage collection is running or about to: try again when it is over")
            return _Restoring(self, permit, repository, force, over, lease_s, by).restore(tag, digest, as_tag)

    def restore_referrers(
        self, repository: str, since: Mapping[str, int], permit: Lease, by: str, reason: str
    ) -> tuple[str, ...]:
        """Restore the signatures and the like that followed these images; returns their tags, or digests without one.

        A referrer that exists, or whose layers are gone, is left alone.

        Args:
            since: digest of an image → referrers deleted at this time (µs) or later followed it.
            permit: the right to write, which the caller holds.
            reason: for the history.
        """
        restoring = _Restoring(self, permit, repository, force=False, over=None, lease_s=0, by=by)
        return restoring.restore_referrers(since, reason)


class _Restoring:
    def __init__(
        self, undo: Undo, permit: Lease, repository: str, force: bool, over: str | None, lease_s: int, by: str
    ) -> None:
        if undo.registry is None:
            raise NotRestorable("registry.url is not set: set it to the registry's address")
        self._undo, self._permit, self._registry = undo, permit, undo.registry
        self._repository, self._force, self._over, self._lease_s, self._by = repository, force, over, lease_s, by
        self._deleted = undo.trash.deleted(repository)
        self._undoable = Undoable(undo.history, undo.trash, undo.registry, repository, self._deleted)
        self._replaced = ""
        self._before: dict[str, str] = {}
        self._since_us = undo.restorations.now_us()
        self._learnt: dict[str, References] = {}

    def restore(self, tag: str | None, digest: str | None, as_tag: str | None) -> Undone:
        found = self._undoable.found(tag, digest)
        digest = found[0].digest if found else digest or ""
        names = {as_tag: found[0] if found else None} if as_tag else {one.tag: one for one in found}
        self._before = {name: self._undo.restorations.standing(self._repository, name) for name in names if name}
        for name in filter(None, names):
            self._refuse_if_pushed_again(name, digest, force=self._force)
        tree = self._tree(digest)
        digests = (digest, *(one.digest for one in tree.missing))
        until_us = self._undo.restorations.lease(self._repository, digests, self._lease_s) if self._lease_s else None
        if self._replaced:
            self._undo.restorations.lease(self._repository, (self._replaced,), LEASE_S)
        self._put_missing(tree, digest)
        for name, one in (names or {"": None}).items():
            self._put(name or "", tree, one, force=self._force)
        parts = sum(1 for one in tree.missing if one.digest != digest)
        tags = tuple(name for name in names if name)
        images = {digest, *self._learnt, *(one.digest for one in tree.missing)}
        referrers = self.restore_referrers(dict.fromkeys(images, 0))
        log.info("restored", repository=self._repository, digest=digest, tags=tags, referrers=referrers, by=self._by)
        return Undone(self._repository, digest, tags, parts, referrers, until_us, self._replaced)

    def _refuse_if_pushed_again(self, tag: str, digest: str, *, force: bool) -> None:
        if force:
            return
        standing = self._registry.head(self._repository, tag, unless=digest)
        if standing is None or standing.digest in (digest, tombstone.DIGEST):
            return
        if standing.digest == self._over:
            self._replaced = standing.digest
        else:
            raise NotRestorable(
                f"{self._repository}:{tag} has since been pushed again and stands at {standing.digest}: "
                "restore it under another name (--as TAG), or replace that (--force)"
            )

    def _tree(self, digest: str) -> _Tree:
        """The manifest with all that is missing. Raises NotRestorable where anything of it cannot be put back."""
        standing = self._registry.get(self._repository, digest)
        manifest = standing or self._kept(digest)
        try:
            references = read_references(manifest.media_type, manifest.content)
        except UnreadableManifest as error:
            raise NotRestorable(f"{self._repository}@{digest} cannot be read: {error}") from error
        if references.children or references.subject:
            self._learnt[digest] = references
        missing: list[Manifest] = []
        for child in references.children:
            there = self._registry.head(self._repository, child)
            if there is None and self._never_existed(child):
                continue  # a sparse index: the registry has accepted it without this part, and decides again
            if there is None or there.media_type in INDEX_TYPES:
                missing += self._tree(child).missing
        if standing is None:
            self._refuse_without_layers(digest, references)
            missing.append(manifest)
        return _Tree(manifest, references, tuple({one.digest: one for one in missing}.values()))

    def _never_existed(self, digest: str) -> bool:
        return self._undo.trash.get(self._repository, digest) is None and not self._undoable.existed(digest)

    def _kept(self, digest: str) -> Manifest:
        kept = self._undo.trash.get(self._repository, digest)
        if kept is None:
            raise NotRestorable(
                f"{self._repository}@{digest} is gone from the registry and not in the trash: push the image again"
            )
        return Manifest(kept.digest, kept.media_type, kept.content)

    def _refuse_without_layers(self, digest: str, references: References) -> None:
        """A collection that was not ours may have taken them; a blob-descriptor cache would not say so."""
        for blob, _ in references.blobs:
            if not self._registry.has_blob(self._repository, blob):
                raise NotRestorable(
                    f"{self._repository}@{digest} cannot be restored: its layer {blob} is gone, a collection has taken "
                    "it; push the image again"
                )

    def _put_missing(self, tree: _Tree, digest: str) -> None:
        for one in tree.missing:
            if one.digest != digest:
                self._permit.check()
                self._send(one.digest, one)

    def _put(self, tag: str, tree: _Tree, deleted: Deleted | None, *, force: bool, reason: str = "") -> None:
        """Under its tag, or by its digest; then the history knows."""
        self._permit.check()
        if tag:
            self._refuse_if_pushed_again(tag, tree.manifest.digest, force=force)
            self._undo.removals.putting(self._repository, tag, tree.manifest.digest)
        self._send(tag or tree.manifest.digest, tree.manifest)
        entry = deleted or self._any_deletion(tree.manifest.digest)
        pushed_us = (entry.pushed_us if entry else None) or 0
        replaced_us = int(self._before.get(tag) or 0)
        if self._replaced and replaced_us:  # 0: nobody saw that push either
            pushed_us = max(pushed_us, replaced_us + 1)
        is_plain = tree.manifest.media_type not in INDEX_TYPES and tree.references.subject is None
        size_bytes = (entry.size_bytes if entry else 0) or len(tree.manifest.content)
        noted = self._undo.restorations.restored(
            self._repository,
            Restored(
                tag, tree.manifest.digest, pushed_us, size_bytes, None if is_plain else tree.references,
                self._undoable.pushed_by(tag, tree.manifest.digest), self._by, reason or self._reason(tag, deleted),
            ),
            self._before.get(tag, ""),
            self._since_us,
        )  # fmt: skip
        if not noted:
            raise NotRestorable(
                f"{self._repository}:{tag} was pushed at this moment, and that push stays: "
                "restore it under another name (--as TAG)"
            )

    def _reason(self, tag: str, deleted: Deleted | None) -> str:
        if self._replaced and tag in self._before:
            return f"put back in place of {self._replaced}"
        return "put back, as it stood there before" if deleted and deleted.left else "its deletion was undone"

    def _send(self, reference: str, manifest: Manifest) -> None:
        try:
            with self._permit.writing():
                where = (self._registry, self._undo.unlinker, self._repository)
                put(*where, reference, manifest.media_type, manifest.content)
        except ManifestRefused as error:
            name = f"{self._repository}@{manifest.digest}"
            raise NotRestorable(f"the registry does not take {name} back, push it again: {error}") from error

    def _any_deletion(self, digest: str) -> Deleted | None:
        return next((one for one in self._deleted if one.digest == digest), None)

    def restore_referrers(self, since: Mapping[str, int], reason: str = "") -> tuple[str, ...]:
        """Restore what followed these images, and what followed that; as `Undo.restore_referrers`."""
        since, left, restored = dict(since), list(self._deleted), []
        while found := [one for one in left if self._follows(one, since)]:
            for one in found:
                left.remove(one)
                since.setdefault(one.digest, one.at_us)
                if self._restore_referrer(one, reason):
                    restored.append(one.tag or one.digest)
        if self._learnt:
            self._undo.history.resolve(self._undo.history.snapshot(self._repository), self._learnt)
        return tuple(restored)

    def _follows(self, deleted: Deleted, since: Mapping[str, int]) -> bool:
        """True if this was deleted after one of these images, and is about it. What a tag has only left is not."""
        if deleted.at_us < min(since.values(), default=0):
            return False
        kept = self._undo.trash.get(self._repository, deleted.digest)
        subject = subject_of(deleted.tag, _references(kept.media_type, kept.content)) if kept else None
        return subject is not None and deleted.at_us >= since.get(subject, deleted.at_us + 1)

    def _restore_referrer(self, deleted: Deleted, reason: str) -> bool:
        """Restore one referrer. A newer one stays: force is about the tag that was named."""
        standing = self._registry.head(self._repository, deleted.tag or deleted.digest)
        if standing is not None and standing.digest != tombstone.DIGEST:
            return False
        try:
            tree = self._tree(deleted.digest)
            self._put_missing(tree, deleted.digest)
            self._put(deleted.tag, tree, deleted, force=False, reason=reason)
        except NotRestorable as error:
            log.warning("referrer not restored", repository=self._repository, tag=deleted.tag, error=str(error))
            return False
        return True


def _references(media_type: str, content: bytes) -> References | None:
    try:
        return read_references(media_type, content)
    except UnreadableManifest:
        return None
