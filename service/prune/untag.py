"""Untag doomed tags: by a DELETE of each tag if the registry supports that, else by one tombstone.

Every tag of a batch is moved to the tombstone, and one DELETE of the tombstone deletes all of them (Distribution 2.8
cannot delete a tag alone). A crash in between leaves tags at the tombstone; the next batch continues from there.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from threading import Lock

from service.domain.errors import RegistryUnavailable, TagDeletesUnknown
from service.domain.oci import tombstone
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag
from service.log import log
from service.prune.mounted import Mounted
from service.prune.recheck import Found, may_go, recheck, still_said
from service.prune.remover import Remover, removing
from service.prune.timing import time_push_to_gone
from service.store.lease import Lease
from service.store.snapshot import Snapshot
from service.store.trash import SaveResult
from service.wiring import Wiring

Work = Callable[[Callable[[Doomed], None], Iterable[Doomed]], object]


@dataclass(slots=True)
class Taken:
    """The result of untagging one doomed digest.

    Attributes:
        doomed: the digest and its tags.
        verdicts: verdicts of the tags that were removed.
        spared: the reason why the digest was not deleted; "" if it was.
        moved: tags that someone else moved, with their new digests.
        indexes: digests of `moved` that are indexes.
        vanished: tags that someone else deleted.
        lost: True if neither the registry nor the trash has the manifest.
    """

    doomed: Doomed
    verdicts: list[Verdict] = field(default_factory=list)
    spared: str = ""
    moved: list[Tag] = field(default_factory=list)
    indexes: set[str] = field(default_factory=set)
    vanished: list[str] = field(default_factory=list)
    lost: bool = False

    def is_lost(self) -> None:
        """Note that neither the registry nor the trash has the manifest: nothing can be untagged or restored."""
        self.spared, self.vanished, self.lost = "somebody else deleted it", list(self.doomed.tags), True


def take_off(
    wiring: Wiring, snapshot: Snapshot, batch: tuple[Doomed, ...], permit: Lease, remover: Remover, work: Work
) -> list[Taken]:
    """Untag these digests. The removed tags are recorded, also if this fails on the way.

    Args:
        work: runs a call for each of the batch, one by one or in parallel.

    Raises:
        RegistryUnavailable, RegistryRefused, LeaseLost: some tags may not be removed.
    """
    takeoff = _TakeOff(wiring, snapshot, permit, remover)
    takeoff.begin()
    fault: RegistryUnavailable | None = None
    try:
        try:
            work(takeoff.take, batch)
        except RegistryUnavailable as error:
            if not error.is_fault:
                raise
            # The failure of a single request is no reason to leave the other tags at the tombstone.
            fault = error
        takeoff.end()
    finally:
        takeoff.note()
    if fault:
        raise fault
    return takeoff.taken


def take_back(wiring: Wiring, snapshot: Snapshot, tag: str, digest: str, permit: Lease) -> None:
    """Remove a tag that our healing pushed although its user had just deleted it.

    Args:
        digest: the digest that the tag points at.
    """
    with removing(wiring.store, wiring.registry, snapshot.repository, permit) as remover:
        takeoff = _TakeOff(wiring, snapshot, permit, remover)
        takeoff.begin()
        takeoff.take_tag(tag, digest, Found("there"))
        takeoff.end()


class _TakeOff:
    def __init__(self, wiring: Wiring, snapshot: Snapshot, permit: Lease, remover: Remover) -> None:
        self._wiring, self._snapshot, self._permit, self._remover = wiring, snapshot, permit, remover
        self._repository = snapshot.repository
        self._restarts = snapshot.restarts
        self._by_tag = remover.exact or wiring.store.capabilities.deletes_tags(self._restarts) is not False
        self._is_over = self._by_tag
        # The time at which the tombstone was recorded for healing. None: no tag was moved to a tombstone yet.
        self._looks_ms: int | None = None
        self._listed: frozenset[str] | None = None
        self._lock = Lock()
        self._mounted = Mounted(None if remover.exact else wiring.registry.storage)
        self._left: frozenset[str] = frozenset()
        self.taken: list[Taken] = []

    def begin(self) -> None:
        """If a tombstone is needed, make sure before each batch that the registry can delete it."""
        if not self._by_tag:
            self._clear()

    def _clear(self) -> None:
        self._wiring.store.deletions.touch(self._repository, tombstone.DIGEST)
        self._remover.write(lambda: self._wiring.registry.client.delete(self._repository, tombstone.DIGEST))

    def take(self, doomed: Doomed) -> None:
        """Untag one doomed digest. For each tag: recheck → trash → the write that removes the tag."""
        self._permit.check()
        if not still_said(self._wiring.policies, doomed):
            return
        result = Taken(doomed)
        self.taken.append(result)
        kept = False
        for verdict in doomed.verdicts:
            fetch, disk = not kept and not doomed.only_tags, self._remover.storage or self._mounted.live
            check = recheck(
                self._wiring.store, self._wiring.registry, self._repository, doomed, verdict, fetch=fetch, disk=disk
            )
            if check.at == "gone":
                result.vanished.append(verdict.tag.name)
            elif check.moved_to is not None:
                result.moved.append(check.moved_to)
                result.indexes |= {check.moved_to.digest} if check.is_index else set()
            elif not kept and not self._keep(doomed, check, result):
                return
            else:
                kept = True
                self.take_tag(verdict.tag.name, doomed.digest, check)
                result.verdicts.append(verdict)
        if result.moved or result.vanished:
            names = ", ".join([*(tag.name for tag in result.moved), *result.vanished])
            result.spared = f"somebody else moved or deleted {names}"

    def end(self) -> None:
        """Delete the tombstone, and with it every tag that points at it."""
        if not self._is_over and self._looks_ms is not None:
            self._permit.check()
            self._clear()
            self._wiring.store.deletions.healed(self._repository, (tombstone.DIGEST, self._looks_ms), "", None)
            removed = [verdict.tag.name for result in self.taken for verdict in result.verdicts]
            self._left = self._remover.still_listed(self._snapshot, removed)
        self._is_over = True

    def note(self) -> None:
        """Record the removed tags. While the tombstone exists, no tag counts as removed."""
        taken = [(result.doomed, tuple(result.verdicts)) for result in self.taken if result.verdicts]
        if not self._is_over or not taken:
            return
        if self._wiring.store.deletions.untagged(self._repository, taken, self._left):
            self._wiring.dispatch.enforce(self._repository)
        self._wiring.store.meter.count("deletes", "untagged", sum(doomed.only_tags for doomed, _ in taken))
        time_push_to_gone(self._wiring.store, self._snapshot)
        for verdict in (verdict for _, verdicts in taken for verdict in verdicts):
            name, digest = verdict.tag.called(self._repository), verdict.tag.digest
            log.info("deleted", tag=name, digest=digest, reason=verdict.reason)

    def _keep(self, doomed: Doomed, check: Found, result: Taken) -> bool:
        """Keep the doomed manifest in the trash; return True if its tags may be removed now."""
        manifest = None
        if not doomed.only_tags:
            manifest = check.manifest or self._wiring.registry.client.get(self._repository, doomed.digest)
            if manifest is None and self._wiring.store.trash.get(self._repository, doomed.digest) is None:
                result.is_lost()
                return False
        if not may_go(self._wiring.store, self._wiring.registry, self._snapshot, doomed, manifest):
            result.spared = "it belongs to an image that is there, or cannot be read"
            return False
        kept = (manifest.media_type, manifest.content) if manifest else None
        put = self._wiring.store.trash.save(self._snapshot, doomed, kept)
        if put is SaveResult.LEASED:
            result.spared = "somebody says that it is in use (lease)"
        return put is SaveResult.SAVED

    def take_tag(self, tag: str, digest: str, check: Found) -> None:
        """Remove one tag, or move it to the tombstone."""
        # A registry that is killed during a DELETE leaves a tag that is listed and points at nothing.
        if check.at == "off" and tag not in self._tags():
            return
        stands = digest if check.at == "there" else None
        if self._by_tag and self._deletes_tag(tag, stands, (digest, tombstone.DIGEST, check.stands)):
            # Another worker, which cannot delete single tags, left the tombstone: its manifest must be deleted, too.
            if check.at == "tombstone":
                self._wiring.store.deletions.request_healing(self._repository, [tombstone.DIGEST])
            return
        self._note_tombstone()
        if check.at != "tombstone":
            put = (self._repository, tag, tombstone.MEDIA_TYPE, tombstone.CONTENT)
            with self._mounted.changing(self._repository, tag, stands, tombstone.DIGEST):
                self._remover.write(lambda: self._wiring.registry.client.put(*put))

    def _note_tombstone(self) -> None:
        """Record that a tombstone is about to exist, so that healing deletes it after a crash.

        If users then push over all tags that point at the tombstone, no other trace of it is left.
        """
        with self._lock:
            if self._looks_ms is None:
                self._looks_ms = self._wiring.store.deletions.request_healing(self._repository, [tombstone.DIGEST])

    def _deletes_tag(self, tag: str, stands: str | None, expected: Collection[str]) -> bool:
        """Delete the tag alone; return False if the registry cannot do that. The first refusal is remembered."""
        able = self._remover.exact or self._wiring.store.capabilities.deletes_tags(self._restarts)
        try:
            with self._mounted.changing(self._repository, tag, stands, None):
                self._remover.untag(tag, expected)
        except TagDeletesUnknown:
            with self._lock:
                if self._by_tag:
                    # Before another thread pushes a tombstone: a DELETE that meets a PUT fails.
                    self._clear()
                    self._wiring.store.capabilities.note_deletes_tags(self._restarts, able=False)
                    self._by_tag = self._is_over = False
            return False
        if able is None:
            self._wiring.store.capabilities.note_deletes_tags(self._restarts, able=True)
        return True

    def _tags(self) -> frozenset[str]:
        if self._listed is None:
            self._listed = frozenset(self._wiring.registry.client.tags(self._repository))
        return self._listed
