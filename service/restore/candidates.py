"""Find the images that a restore can bring back: deleted images, and images whose tag was overwritten."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from service.domain.errors import NotRestorable
from service.domain.history.entry import Deleted, Entry
from service.registry.client import RegistryClient
from service.store.history import History
from service.store.trash import Trash

_DELETED = ("pruned", "still listed")
_POINTING = ("push", "adopted", "restored", "healed")


@dataclass(frozen=True)
class RestoreCandidate:
    """The deletions in one repository that a restore can undo.

    Every method raises, beside its own errors, StoreUnavailable, RegistryUnavailable and RegistryRefused.
    """

    history: History
    trash: Trash
    registry: RegistryClient = field(repr=False)
    repository: str
    deleted: tuple[Deleted, ...]

    def deletions_to_undo(self, tag: str | None, digest: str | None) -> list[Deleted]:
        """Return the deletions of a tag, or of a digest, to undo: one for each tag.

        Raises:
            NotRestorable: there are none; with one sentence for the user.
        """
        if tag:
            deletions = [entry for entry in self.deleted if entry.tag == tag and digest in (None, entry.digest)]
            deletions = deletions or self._deleted_but_existing(tag, digest) or self._overwritten(tag, digest)
            if not deletions:
                raise NotRestorable(self._why_not(tag, digest))
            return deletions[:1]
        deletions = [entry for entry in self.deleted if entry.digest == digest]
        if not deletions and self.trash.get(self.repository, digest or "") is None:
            raise NotRestorable(
                f"{self.repository}@{digest} is not in the trash: it was not deleted by pushprune, or a garbage "
                "collection may have deleted its layers since; push the image again"
            )
        return [entry for entry in deletions if entry.tag] or deletions

    def existed(self, digest: str) -> bool:
        """True if a manifest is known to have been in the repository: its push or deletion was recorded."""
        return any(entry.digest == digest for entry in self._entries)

    def is_restored(self, digest: str) -> bool:
        """True if a user restored the manifest without a tag, and no other client deleted it since."""
        about = [entry for entry in self._entries if entry.digest == digest and not entry.tag]
        restored_us = next((entry.at_us for entry in about if entry.action == "restored"), None)
        # The event of an older deletion may arrive late.
        return restored_us is not None and not any(
            entry.action == "delete" and entry.at_us > restored_us for entry in about
        )

    def pushed_by(self, tag: str, digest: str) -> str:
        """The user who last pushed this digest under this tag; "" if that is not recorded."""
        pushes = (push for push in self._entries if push.action == "push" and (push.tag, push.digest) == (tag, digest))
        return next((push.actor for push in pushes), "")

    def _deleted_but_existing(self, tag: str, digest: str | None) -> list[Deleted]:
        """The deletion of a tag whose image exists nevertheless: under another tag, or restored already."""
        entries = [entry for entry in self._entries if entry.tag == tag]
        pruned = next((entry for entry in entries if entry.action in _DELETED), None)
        if pruned is None or digest not in (None, pruned.digest):
            return []
        if (entries and entries[0].action in ("push", "restored")) or not self._exists(pruned.digest):
            return []
        return [self._as_deleted(pruned)]

    def _overwritten(self, tag: str, digest: str | None) -> list[Deleted]:
        """The digest at which the tag pointed before, if the image is still in the registry or in the trash."""
        previous = next(
            (entry for entry in self._entries if entry.digest == digest and self._pointed(entry, tag)), None
        )
        if previous is None or not (self._exists(previous.digest) or self.trash.get(self.repository, previous.digest)):
            return []
        return [replace(self._as_deleted(previous), left=True)]

    def _as_deleted(self, entry: Entry) -> Deleted:
        pushes = (push for push in self._entries if push.action == "push" and push.tag == entry.tag)
        pushed_us = next((push.at_us for push in pushes if push.digest == entry.digest), None)
        return Deleted(entry.tag, entry.digest, pushed_us, entry.at_us, entry.size_bytes, entry.reason)

    def _pointed(self, entry: Entry, tag: str) -> bool:
        """True if the tag pointed at the digest of this entry from then on."""
        return entry.tag == tag and entry.action in _POINTING

    def _exists(self, digest: str) -> bool:
        return self.registry.head(self.repository, digest) is not None

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return self.history.entries(self.repository, None)

    def _why_not(self, tag: str, digest: str | None) -> str:
        """Describe to the user why a tag cannot be restored."""
        name = f"{self.repository}:{tag}"
        pruned = next((entry for entry in self._entries if entry.tag == tag and entry.action in _DELETED), None)
        if digest and any(self._pointed(entry, tag) and entry.digest == digest for entry in self._entries):
            return f"{digest}, at which {name} pointed, is neither in the registry nor in the trash: push it again"
        if tag in self.history.snapshot(self.repository).lost:
            return f"{name} was deleted during its push and cannot be restored: push it again"
        if any(live.name == tag for live in self.history.live(self.repository)):
            return f"{name} exists; `pushprune trash {self.repository}` lists what can be restored"
        if pruned is None:
            return (
                f"{name} was not deleted by pushprune; `pushprune trash {self.repository}` lists what can be restored"
            )
        if self.trash.kept_us(pruned.at_us):
            return f"{name} cannot be restored: a garbage collection since may have deleted its layers; push it again"
        return f"{name} cannot be restored: it was in the trash for longer than history.trash allows; push it again"
