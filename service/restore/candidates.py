"""What an undo would put back: deletions that can be undone, and digests that a tag has left for another."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from service.domain.errors import NotRestorable
from service.domain.history.deleted import Deleted
from service.domain.history.entry import Entry
from service.registry.client import RegistryClient
from service.store.history import History
from service.store.trash import Trash

_DELETED = ("pruned", "still listed")
_STOOD = ("push", "adopted", "restored", "healed")


@dataclass(frozen=True)
class Undoable:
    """Finds it in one repository. Raises StoreUnavailable, RegistryUnavailable and RegistryRefused beside its own."""

    history: History
    trash: Trash
    registry: RegistryClient = field(repr=False)
    repository: str
    deleted: tuple[Deleted, ...]

    def found(self, tag: str | None, digest: str | None) -> list[Deleted]:
        """The deletions of a tag, or of a digest, to undo: one for each tag.

        Raises NotRestorable with one sentence where there are none.
        """
        if tag:
            found = [one for one in self.deleted if one.tag == tag and digest in (None, one.digest)]
            found = found or self._standing(tag, digest) or self._left(tag, digest)
            if not found:
                raise NotRestorable(self._why_not(tag, digest))
            return found[:1]
        found = [one for one in self.deleted if one.digest == digest]
        if not found and self.trash.get(self.repository, digest or "") is None:
            raise NotRestorable(
                f"{self.repository}@{digest} is not in the trash: it was not deleted by pushprune, or a collection "
                "may have taken its layers since; push it again"
            )
        return [one for one in found if one.tag] or found

    def existed(self, digest: str) -> bool:
        """True if a manifest is known to have been in the repository: its push or deletion was recorded."""
        return any(entry.digest == digest for entry in self._entries)

    def pushed_by(self, tag: str, digest: str) -> str:
        """Who pushed it there last, "" where that is not recorded."""
        pushes = (one for one in self._entries if one.action == "push" and (one.tag, one.digest) == (tag, digest))
        return next((one.actor for one in pushes), "")

    def _standing(self, tag: str, digest: str | None) -> list[Deleted]:
        """A deletion whose image stands all the same: under another tag, or put back already."""
        entries = [one for one in self._entries if one.tag == tag]
        pruned = next((one for one in entries if one.action in _DELETED), None)
        if pruned is None or digest not in (None, pruned.digest):
            return []
        if (entries and entries[0].action in ("push", "restored")) or not self._stands(pruned.digest):
            return []
        return [self._as_deleted(pruned)]

    def _left(self, tag: str, digest: str | None) -> list[Deleted]:
        """A digest at which the tag stood before: the registry has it still, or the trash."""
        stood = next((one for one in self._entries if one.digest == digest and self._stood(one, tag)), None)
        if stood is None or not (self._stands(stood.digest) or self.trash.get(self.repository, stood.digest)):
            return []
        return [replace(self._as_deleted(stood), left=True)]

    def _as_deleted(self, entry: Entry) -> Deleted:
        pushes = (one for one in self._entries if one.action == "push" and one.tag == entry.tag)
        pushed_us = next((one.at_us for one in pushes if one.digest == entry.digest), None)
        return Deleted(entry.tag, entry.digest, pushed_us, entry.at_us, entry.size_bytes, entry.reason)

    def _stood(self, entry: Entry, tag: str) -> bool:
        return entry.tag == tag and entry.action in _STOOD

    def _stands(self, digest: str) -> bool:
        return self.registry.head(self.repository, digest) is not None

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return self.history.entries(self.repository, None)

    def _why_not(self, tag: str, digest: str | None) -> str:
        name = f"{self.repository}:{tag}"
        pruned = next((one for one in self._entries if one.tag == tag and one.action in _DELETED), None)
        if digest and any(self._stood(one, tag) and one.digest == digest for one in self._entries):
            return f"{digest}, at which {name} stood, is gone from the registry and not in the trash: push it again"
        if tag in self.history.snapshot(self.repository).lost:
            return f"{name} was lost in a race with its push and cannot be restored: push it again"
        if any(live.name == tag for live in self.history.live(self.repository)):
            return f"{name} is there; `pushprune trash {self.repository}` lists what can be restored"
        if pruned is None:
            return (
                f"{name} was not deleted by pushprune; `pushprune trash {self.repository}` lists what can be restored"
            )
        if self.trash.kept_us(pruned.at_us):
            return f"{name} cannot be restored: a garbage collection since may have taken its layers; push it again"
        return f"{name} cannot be restored: what was kept of it is gone by now (history.trash); push it again"
