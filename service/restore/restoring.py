"""One restore in one repository: check the tags, push the image and what it needs, then its referrers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from service.domain.errors import ManifestRefused, NotRestorable
from service.domain.history.entry import Deleted
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, references_of
from service.domain.retention.state import subject_of
from service.log import log
from service.registry import Registry
from service.registry.manifest import Manifest
from service.restore.candidates import RestoreCandidate
from service.restore.whole_image import WholeImage, WholeImages
from service.store import Store
from service.store.lease import Lease
from service.store.outbox import LOOK_AGAIN_MS
from service.store.restorations import RestoredManifest

LEASE_S = 86_400
_UNDER_WAY_S = LOOK_AGAIN_MS // 1000


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


@contextmanager
def write_permit(store: Store) -> Iterator[Lease]:
    """Yield the right to write, which keeps garbage collections out. Raises NotRestorable while one runs."""
    with store.leases.write() as permit:
        if permit is None:
            raise NotRestorable("a garbage collection is running or about to start: try again when it has finished")
        yield permit


class Restoring:
    """One restore in one repository, under a write permit."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        permit: Lease,
        repository: str,
        *,
        force: bool = False,
        replaces: str | None = None,
        lease_s: int = 0,
        by: str,
    ) -> None:
        if not registry.is_configured:
            raise NotRestorable("registry.url is not set: set it to the registry's address")
        self._store, self._deletion, self._client, self._permit = store, registry.deletion, registry.client, permit
        self._repository, self._force, self._lease_s, self._by = repository, force, lease_s, by
        self._replaces = replaces
        self._deleted = store.trash.deleted(repository)
        self._candidate = RestoreCandidate(store.history, store.trash, self._client, repository, self._deleted)
        self._images = WholeImages(registry, store.trash, self._candidate)
        self._replaced = ""
        self._before: dict[str, str] = {}
        self._since_us = store.restorations.now_us()

    def resolve(
        self, tag: str | None, digest: str | None, as_tag: str | None
    ) -> tuple[Mapping[str, Deleted | None], WholeImage]:
        """Return the tags to restore, each with its deletion, and the manifests that they need."""
        deletions = self._candidate.deletions_to_undo(tag, digest)
        digest = deletions[0].digest if deletions else digest or ""
        names: dict[str, Deleted | None] = {deletion.tag: deletion for deletion in deletions}
        if as_tag:
            names = {as_tag: deletions[0] if deletions else None}
        self._before = {name: self._store.restorations.pushed_at(self._repository, name) for name in names if name}
        for name in filter(None, names):
            self._refuse_if_pushed_again(name, digest, force=self._force)
        return names, self._images.read(digest)

    def restore(self, tag: str | None, digest: str | None, as_tag: str | None) -> RestoreResult:
        """Restore the image under these tags; see `Restore.restore`."""
        names, image = self.resolve(tag, digest, as_tag)
        digest = image.manifest.digest
        digests = (digest, *(manifest.digest for manifest in image.missing))
        # Leased before the first PUT, so that no plan dooms a part that was just restored.
        until_us = self._store.restorations.lease(self._repository, digests, self._lease_s) if self._lease_s else None
        if not self._lease_s and not any(names):
            # Only a lease distinguishes a DELETE that is under way from one that is sent later.
            self._store.restorations.lease(self._repository, digests, _UNDER_WAY_S)
        if self._replaced:
            self._store.restorations.lease(self._repository, (self._replaced,), LEASE_S)
        self._put_missing(image, digest)
        for name, deletion in (names or {"": None}).items():
            self._put(name or "", image, deletion, force=self._force)
        parts = sum(1 for manifest in image.missing if manifest.digest != digest)
        tags = tuple(name for name in names if name)
        images = {digest, *self._images.learnt, *(manifest.digest for manifest in image.missing)}
        referrers = self.restore_referrers(dict.fromkeys(images, 0))
        log.info("restored", repository=self._repository, digest=digest, tags=tags, referrers=referrers, by=self._by)
        return RestoreResult(self._repository, digest, tags, parts, referrers, until_us, self._replaced)

    def _refuse_if_pushed_again(self, tag: str, digest: str, *, force: bool) -> None:
        """Refuse to overwrite a tag that points at another digest, unless the caller named that digest."""
        if force:
            return
        current = self._client.head(self._repository, tag, unless=digest)
        if current is None or current.digest in (digest, *tombstone.DIGESTS):
            return
        if current.digest == self._replaces:
            self._replaced = current.digest
        else:
            raise NotRestorable(
                f"{self._repository}:{tag} was pushed again since and points at {current.digest}: "
                "restore the image under another name (--as TAG), or replace the tag (--force)"
            )

    def _put_missing(self, image: WholeImage, digest: str) -> None:
        """Push the missing parts, the deepest first, because the registry accepts an index only after its parts."""
        for manifest in image.missing:
            if manifest.digest != digest:
                self._permit.check()
                self._send(manifest.digest, manifest)

    def _put(self, tag: str, image: WholeImage, deleted: Deleted | None, *, force: bool, reason: str = "") -> None:
        """Push the manifest under its tag, or by its digest, and record the restore in the history."""
        self._permit.check()
        if tag:
            # Checked again right before the PUT: pushing the parts may have taken a while.
            self._refuse_if_pushed_again(tag, image.manifest.digest, force=force)
            # Recorded before the PUT, so that its event is not taken for a push by a user.
            self._store.deletions.note_own_put(self._repository, tag, image.manifest.digest)
        self._send(tag or image.manifest.digest, image.manifest)
        entry = deleted or self._any_deletion(image.manifest.digest)
        pushed_us = (entry.pushed_us if entry else None) or 0
        replaced_us = int(self._before.get(tag) or 0)
        # The restored image must not count as older than the push that it replaces. 0: that push time is unknown, too.
        if self._replaced and replaced_us:
            pushed_us = max(pushed_us, replaced_us + 1)
        is_plain = image.manifest.media_type not in INDEX_TYPES and image.references.subject is None
        size_bytes = (entry.size_bytes if entry else 0) or image.references.size_bytes
        noted = self._store.restorations.restored(
            self._repository,
            RestoredManifest(
                tag, image.manifest.digest, pushed_us, size_bytes, None if is_plain else image.references,
                self._candidate.pushed_by(tag, image.manifest.digest), self._by, reason or self._reason(tag, deleted),
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
                self._deletion.put(self._repository, reference, manifest.media_type, manifest.content)
        except ManifestRefused as error:
            name = f"{self._repository}@{manifest.digest}"
            raise NotRestorable(f"the registry does not accept {name}, push the image again: {error}") from error

    def _any_deletion(self, digest: str) -> Deleted | None:
        return next((deletion for deletion in self._deleted if deletion.digest == digest), None)

    def restore_again(self, digest: str) -> bool:
        """Restore a manifest without a tag, and its parts, once more; see `Restore.restore_again`."""
        if not self._candidate.is_restored(digest):
            return False
        # A user may have asked to delete it since: that request counts.
        self._since_us = 0
        image = self._images.read(digest)
        self._put_missing(image, digest)
        self._put("", image, None, force=False, reason="a deletion that had begun before its restore removed it")
        return True

    def restore_referrers(self, since: Mapping[str, int], reason: str = "") -> tuple[str, ...]:
        """Restore the referrers of these images, and the referrers of those; see `Restore.restore_referrers`."""
        since, remaining, restored = dict(since), list(self._deleted), []
        while referrers := [deletion for deletion in remaining if self._follows(deletion, since)]:
            for referrer in referrers:
                remaining.remove(referrer)
                since.setdefault(referrer.digest, referrer.at_us)
                if self._restore_referrer(referrer, reason):
                    restored.append(referrer.tag or referrer.digest)
        if self._images.learnt:
            self._store.facts.resolve(self._store.history.snapshot(self._repository), self._images.learnt)
        return tuple(restored)

    def _follows(self, deleted: Deleted, since: Mapping[str, int]) -> bool:
        """True if this is a referrer of one of these images and was deleted with the image or later."""
        if deleted.at_us < min(since.values(), default=0):
            return False
        kept = self._store.trash.get(self._repository, deleted.digest)
        subject = subject_of(deleted.tag, references_of(kept.media_type, kept.content)) if kept else None
        return subject is not None and deleted.at_us >= since.get(subject, deleted.at_us + 1)

    def _restore_referrer(self, deleted: Deleted, reason: str) -> bool:
        """Restore one referrer; False if that is not possible, or if its tag points at another referrer by now."""
        # `force` is only for the tag that the user named, not for its signatures.
        current = self._client.head(self._repository, deleted.tag or deleted.digest)
        if current is not None and current.digest not in tombstone.DIGESTS:
            return False
        try:
            image = self._images.read(deleted.digest)
            self._put_missing(image, deleted.digest)
            self._put(deleted.tag, image, deleted, force=False, reason=reason)
        except NotRestorable as error:
            log.warning("referrer not restored", repository=self._repository, tag=deleted.tag, error=str(error))
            return False
        return True
