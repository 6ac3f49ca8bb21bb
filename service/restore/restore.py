"""Restore deleted or overwritten images from the trash, until a garbage collection may have deleted their layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.errors import ManifestRefused, NotRestorable
from service.domain.history.entry import Deleted
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.domain.page import Place
from service.domain.policy.patterns import Matcher
from service.domain.retention.state import subject_of
from service.log import log
from service.registry import Registry
from service.registry.manifest import Manifest
from service.restore.candidates import RestoreCandidate
from service.restore.trash_listing import TrashListing, TrashOrder, list_trash
from service.store.deletions import Deletions
from service.store.history import History
from service.store.lease import Lease, Leases
from service.store.restorations import Restorations, RestoredManifest
from service.store.trash import Trash

LEASE_S = 86_400
_COLLECTING = "a garbage collection is running or about to start: try again when it has finished"


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of a restore.

    Attributes:
        tags: the restored tags.
        parts: the number of manifests that were restored because the index needs them.
        referrers: tags, or digests, of the signatures and other referrers that were restored as well.
        kept_until_us: the time until which no policy deletes the image again (µs); None if it is not leased.
        replaced: the digest at which the tag pointed before; it is not deleted for a day. "" if there was none, or
            with `force`.
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
    """A manifest and the manifests that it needs. missing: those that the registry does not have, the deepest first."""

    manifest: Manifest
    references: References
    missing: tuple[Manifest, ...]


@dataclass(frozen=True)
class Restore:
    """Restores from the trash.

    Every method raises, beside its own errors, StoreUnavailable, RegistryUnavailable and RegistryRefused.
    """

    history: History
    trash: Trash
    removals: Deletions
    restorations: Restorations
    leases: Leases
    registry: Registry = field(repr=False)

    def deleted(self, repository: str) -> tuple[Deleted, ...]:
        """The deletions in a repository that can still be undone, the latest first."""
        return self.trash.deleted(repository)

    def latest(self, count: int) -> tuple[tuple[str, Deleted], ...]:
        """The latest deletions of all repositories that can still be undone, each with its repository."""
        return self.trash.latest(count)

    def list_trash(
        self,
        matches: Matcher,
        reason: str = "",
        order: TrashOrder = "-deleted",
        after: Place | None = None,
        limit: int | None = None,
    ) -> TrashListing:
        """A page of the deletions in all repositories that can still be undone; see `list_trash`."""
        return list_trash(self.trash, matches, reason, order, after, limit)

    def trashed(self, repository: str) -> frozenset[str]:
        """The digests that are in the trash."""
        return self.trash.digests(repository)

    def standing(self, repository: str) -> frozenset[str]:
        """The digests that the registry has, as far as the history knows."""
        return self.history.standing(repository)

    def restore(
        self,
        repository: str,
        *,
        tag: str | None = None,
        digest: str | None = None,
        as_tag: str | None = None,
        force: bool = False,
        replaces: str | None = None,
        lease_s: int = LEASE_S,
        by: str = "",
    ) -> RestoreResult:
        """Restore a tag, or a digest with the tags that were deleted with it, with the original push time.

        The latest deletion of the tag is undone, or the deletion from `digest`. An overwritten image can be restored,
        too: then the tag points at it again.

        Args:
            repository: the name of the repository.
            tag: to restore; None: restore `digest` with all of its deleted tags.
            digest: of the image; None: of the latest deletion of the tag.
            as_tag: restore under this name instead.
            force: also if the tag was pushed again since.
            replaces: also if the tag points at this digest. The tag then keeps its place in the push order, and the
                replaced digest is not deleted for a day.
            lease_s: seconds for which no policy deletes the image again; 0: the next plan may delete it.
            by: the user, for the history.

        Raises:
            NotRestorable: with one sentence for the user.
        """
        with self.leases.write() as permit:
            if permit is None:
                raise NotRestorable(_COLLECTING)
            return _Restoring(self, permit, repository, force, replaces, lease_s, by).restore(tag, digest, as_tag)

    def check(
        self,
        repository: str,
        *,
        tag: str | None = None,
        digest: str | None = None,
        as_tag: str | None = None,
        force: bool = False,
    ) -> tuple[str, ...]:
        """Return the tags that `restore` would restore now. Nothing is changed; the arguments are those of `restore`.

        Raises:
            NotRestorable: with one sentence for the user.
        """
        with self.leases.write() as permit:
            if permit is None:
                raise NotRestorable(_COLLECTING)
            restoring = _Restoring(self, permit, repository, force, None, lease_s=0, by="")
            return tuple(filter(None, restoring.resolve(tag, digest, as_tag)[0]))

    def restore_referrers(
        self, repository: str, since: Mapping[str, int], permit: Lease, by: str, reason: str
    ) -> tuple[str, ...]:
        """Restore the signatures and other referrers that were deleted after their images.

        A referrer that exists, or whose layers were deleted, is skipped.

        Args:
            repository: the name of the repository.
            since: digest of an image → referrers deleted at this time (µs) or later belong to its deletion.
            permit: the right to write, which the caller holds.
            by: the user, for the history.
            reason: for the history.

        Returns:
            The tags of the restored referrers, or the digest of a referrer without a tag.
        """
        restoring = _Restoring(self, permit, repository, force=False, replaces=None, lease_s=0, by=by)
        return restoring.restore_referrers(since, reason)


class _Restoring:
    """One restore in one repository, under a write permit."""

    def __init__(
        self, restore: Restore, permit: Lease, repository: str, force: bool, replaces: str | None, lease_s: int, by: str
    ) -> None:
        if not restore.registry.is_configured:
            raise NotRestorable("registry.url is not set: set it to the registry's address")
        self._restore_deletion, self._permit, self._registry = restore, permit, restore.registry.client
        self._repository, self._force, self._lease_s, self._by = repository, force, lease_s, by
        self._replaces = replaces
        self._deleted = restore.trash.deleted(repository)
        self._restorable = RestoreCandidate(restore.history, restore.trash, self._registry, repository, self._deleted)
        self._replaced = ""
        self._before: dict[str, str] = {}
        self._since_us = restore.restorations.now_us()
        self._learnt: dict[str, References] = {}

    def resolve(
        self, tag: str | None, digest: str | None, as_tag: str | None
    ) -> tuple[Mapping[str, Deleted | None], _Tree]:
        """Return the tags to restore, each with its deletion, and the manifests that they need."""
        deletions = self._restorable.found(tag, digest)
        digest = deletions[0].digest if deletions else digest or ""
        names: dict[str, Deleted | None] = {deletion.tag: deletion for deletion in deletions}
        if as_tag:
            names = {as_tag: deletions[0] if deletions else None}
        self._before = {
            name: self._restore_deletion.restorations.pushed_at(self._repository, name) for name in names if name
        }
        for name in filter(None, names):
            self._refuse_if_pushed_again(name, digest, force=self._force)
        return names, self._tree(digest)

    def restore(self, tag: str | None, digest: str | None, as_tag: str | None) -> RestoreResult:
        names, tree = self.resolve(tag, digest, as_tag)
        digest = tree.manifest.digest
        digests = (digest, *(manifest.digest for manifest in tree.missing))
        # Leased before the first PUT, so that no plan dooms a part that was just restored.
        until_us = (
            self._restore_deletion.restorations.lease(self._repository, digests, self._lease_s)
            if self._lease_s
            else None
        )
        if self._replaced:
            self._restore_deletion.restorations.lease(self._repository, (self._replaced,), LEASE_S)
        self._put_missing(tree, digest)
        for name, deletion in (names or {"": None}).items():
            self._put(name or "", tree, deletion, force=self._force)
        parts = sum(1 for manifest in tree.missing if manifest.digest != digest)
        tags = tuple(name for name in names if name)
        images = {digest, *self._learnt, *(manifest.digest for manifest in tree.missing)}
        referrers = self.restore_referrers(dict.fromkeys(images, 0))
        log.info("restored", repository=self._repository, digest=digest, tags=tags, referrers=referrers, by=self._by)
        return RestoreResult(self._repository, digest, tags, parts, referrers, until_us, self._replaced)

    def _refuse_if_pushed_again(self, tag: str, digest: str, *, force: bool) -> None:
        """Refuse to overwrite a tag that points at another digest, unless the caller named that digest."""
        if force:
            return
        standing = self._registry.head(self._repository, tag, unless=digest)
        if standing is None or standing.digest in (digest, tombstone.DIGEST):
            return
        if standing.digest == self._replaces:
            self._replaced = standing.digest
        else:
            raise NotRestorable(
                f"{self._repository}:{tag} was pushed again since and points at {standing.digest}: "
                "restore the image under another name (--as TAG), or replace the tag (--force)"
            )

    def _tree(self, digest: str) -> _Tree:
        """Return the manifest with all missing parts.

        Raises:
            NotRestorable: the manifest, a part or a layer cannot be restored.
        """
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
            part = self._registry.head(self._repository, child)
            if part is None and self._never_existed(child):
                # A sparse index: the registry accepted the index without this part once, and decides again now.
                continue
            # An inner index that exists may still lack parts of its own.
            if part is None or part.media_type in INDEX_TYPES:
                missing += self._tree(child).missing
        if standing is None:
            self._refuse_without_layers(digest, references)
            missing.append(manifest)
        return _Tree(manifest, references, tuple({part.digest: part for part in missing}.values()))

    def _never_existed(self, digest: str) -> bool:
        return self._restore_deletion.trash.get(self._repository, digest) is None and not self._restorable.existed(
            digest
        )

    def _kept(self, digest: str) -> Manifest:
        """The manifest from the trash."""
        kept = self._restore_deletion.trash.get(self._repository, digest)
        if kept is None:
            raise NotRestorable(
                f"{self._repository}@{digest} is neither in the registry nor in the trash: push the image again"
            )
        return Manifest(kept.digest, kept.media_type, kept.content)

    def _refuse_without_layers(self, digest: str, references: References) -> None:
        """Refuse to restore an image whose config or layers do not exist any more."""
        # A collection that pushprune did not run may have deleted them. `has_blob` also sees this behind a
        # blob-descriptor cache, with which the registry would accept the manifest of a broken image.
        for blob, _ in references.blobs:
            if self._registry.has_blob(self._repository, blob):
                continue
            registry = self._restore_deletion.registry
            if not (registry.relink(self._repository, blob) and self._registry.has_blob(self._repository, blob)):
                raise NotRestorable(
                    f"{self._repository}@{digest} cannot be restored: its layer {blob} was deleted by a garbage "
                    "collection; push the image again"
                )

    def _put_missing(self, tree: _Tree, digest: str) -> None:
        """Push the missing parts, the deepest first, because the registry accepts an index only after its parts."""
        for manifest in tree.missing:
            if manifest.digest != digest:
                self._permit.check()
                self._send(manifest.digest, manifest)

    def _put(self, tag: str, tree: _Tree, deleted: Deleted | None, *, force: bool, reason: str = "") -> None:
        """Push the manifest under its tag, or by its digest, and record the restore in the history."""
        self._permit.check()
        if tag:
            # Checked again right before the PUT: pushing the parts may have taken a while.
            self._refuse_if_pushed_again(tag, tree.manifest.digest, force=force)
            # Recorded before the PUT, so that its event is not taken for a push by a user.
            self._restore_deletion.removals.note_own_put(self._repository, tag, tree.manifest.digest)
        self._send(tag or tree.manifest.digest, tree.manifest)
        entry = deleted or self._any_deletion(tree.manifest.digest)
        pushed_us = (entry.pushed_us if entry else None) or 0
        replaced_us = int(self._before.get(tag) or 0)
        # The restored image must not count as older than the push that it replaces. 0: that push time is unknown, too.
        if self._replaced and replaced_us:
            pushed_us = max(pushed_us, replaced_us + 1)
        is_plain = tree.manifest.media_type not in INDEX_TYPES and tree.references.subject is None
        size_bytes = (entry.size_bytes if entry else 0) or tree.references.size_bytes
        noted = self._restore_deletion.restorations.restored(
            self._repository,
            RestoredManifest(
                tag, tree.manifest.digest, pushed_us, size_bytes, None if is_plain else tree.references,
                self._restorable.pushed_by(tag, tree.manifest.digest), self._by, reason or self._reason(tag, deleted),
            ),
            self._before.get(tag, ""),
            self._since_us,
        )  # fmt: skip
        if not noted:
            raise NotRestorable(
                f"{self._repository}:{tag} was pushed at this moment, and that push is kept: "
                "restore the image under another name (--as TAG)"
            )

    def _reason(self, tag: str, deleted: Deleted | None) -> str:
        if self._replaced and tag in self._before:
            return f"restored in place of {self._replaced}"
        return "restored after it was overwritten" if deleted and deleted.left else "its deletion was undone"

    def _send(self, reference: str, manifest: Manifest) -> None:
        try:
            with self._permit.writing():
                deletion = self._restore_deletion.registry.deletion
                deletion.put(self._repository, reference, manifest.media_type, manifest.content)
        except ManifestRefused as error:
            name = f"{self._repository}@{manifest.digest}"
            raise NotRestorable(f"the registry does not accept {name}, push the image again: {error}") from error

    def _any_deletion(self, digest: str) -> Deleted | None:
        return next((deletion for deletion in self._deleted if deletion.digest == digest), None)

    def restore_referrers(self, since: Mapping[str, int], reason: str = "") -> tuple[str, ...]:
        """Restore the referrers of these images, and the referrers of those; see `Restore.restore_referrers`."""
        since, remaining, restored = dict(since), list(self._deleted), []
        while referrers := [deletion for deletion in remaining if self._follows(deletion, since)]:
            for referrer in referrers:
                remaining.remove(referrer)
                since.setdefault(referrer.digest, referrer.at_us)
                if self._restore_referrer(referrer, reason):
                    restored.append(referrer.tag or referrer.digest)
        if self._learnt:
            self._restore_deletion.history.resolve(
                self._restore_deletion.history.snapshot(self._repository), self._learnt
            )
        return tuple(restored)

    def _follows(self, deleted: Deleted, since: Mapping[str, int]) -> bool:
        """True if this is a referrer of one of these images and was deleted with the image or later."""
        if deleted.at_us < min(since.values(), default=0):
            return False
        kept = self._restore_deletion.trash.get(self._repository, deleted.digest)
        subject = subject_of(deleted.tag, _references(kept.media_type, kept.content)) if kept else None
        return subject is not None and deleted.at_us >= since.get(subject, deleted.at_us + 1)

    def _restore_referrer(self, deleted: Deleted, reason: str) -> bool:
        """Restore one referrer; False if that is not possible, or if its tag points at another referrer by now."""
        # `force` is only for the tag that the user named, not for its signatures.
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
