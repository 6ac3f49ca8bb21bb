"""Take doomed tags off their manifests: by a DELETE of each tag where the registry has it, by one tombstone where not.

A tombstone takes the place of the image under every tag of a batch, and one DELETE of it takes all of them away
(Distribution 2.8 deletes no tag alone). A crash in between leaves tags at the tombstone; the next batch goes on there.
"""

from collections.abc import Callable, Iterable
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
from service.store.trash import Put
from service.wiring import Wiring

Work = Callable[[Callable[[Doomed], None], Iterable[Doomed]], object]


@dataclass(slots=True)
class Taken:
    """What became of one doomed digest: the tags that are off, and why it was left alone, if it was.

    moved, vanished: tags that somebody else moved or deleted; indexes: the digests of indexes that they were moved to.
    """

    doomed: Doomed
    verdicts: list[Verdict] = field(default_factory=list)
    spared: str = ""
    moved: list[Tag] = field(default_factory=list)
    indexes: set[str] = field(default_factory=set)
    vanished: list[str] = field(default_factory=list)
    lost: bool = False

    def is_lost(self) -> None:
        """Neither the registry nor the trash has its manifest: there is nothing to take off, or to put back."""
        self.spared, self.vanished, self.lost = "somebody else deleted it", list(self.doomed.tags), True


def take_off(
    wiring: Wiring, snapshot: Snapshot, batch: tuple[Doomed, ...], permit: Lease, remover: Remover, work: Work
) -> list[Taken]:
    """Takes the tags of these digests off; what is off is noted, also when this fails on the way.

    work: runs a call for each of the batch, some at a time. Raises RegistryUnavailable, RegistryRefused or LeaseLost.
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
            fault = error  # what one request met is no reason to leave the tombstone under the other tags
        takeoff.end()
    finally:
        takeoff.note()
    if fault:
        raise fault
    return takeoff.taken


def take_back(wiring: Wiring, snapshot: Snapshot, tag: str, digest: str, permit: Lease) -> None:
    """Takes off a tag that a healing of ours put where its user had just deleted it. digest: where it stands."""
    with removing(wiring, snapshot.repository, permit) as remover:
        takeoff = _TakeOff(wiring, snapshot, permit, remover)
        takeoff.begin()
        takeoff.take_tag(tag, digest, Found("there"))
        takeoff.end()


class _TakeOff:
    def __init__(self, wiring: Wiring, snapshot: Snapshot, permit: Lease, remover: Remover) -> None:
        self._wiring, self._snapshot, self._permit, self._remover = wiring, snapshot, permit, remover
        self._repository = snapshot.repository
        self._restarts = snapshot.restarts
        self._by_tag = bool(remover.links) or wiring.abilities.deletes_tags(self._restarts) is not False
        self._is_over = self._by_tag
        self._looks_ms: int | None = None  # when it was noted that a tombstone is put under a tag
        self._listed: frozenset[str] | None = None
        self._lock = Lock()
        self._mounted = Mounted(wiring.storage)
        self._left: frozenset[str] = frozenset()
        self.taken: list[Taken] = []

    def begin(self) -> None:
        """Where a tombstone is needed, makes sure each time first that it can be deleted again."""
        if not self._by_tag:
            self._clear()

    def _clear(self) -> None:
        self._wiring.removals.touch(self._repository, tombstone.DIGEST)
        self._remover.write(lambda: self._wiring.client.delete(self._repository, tombstone.DIGEST))

    def take(self, doomed: Doomed) -> None:
        """Recheck → trash → the write that takes the tag off, for each of its tags."""
        self._permit.check()
        if not still_said(self._wiring, doomed):
            return
        result = Taken(doomed)
        self.taken.append(result)
        kept = False
        for verdict in doomed.verdicts:
            fetch, disk = not kept and not doomed.only_tags, self._remover.disk or self._mounted.live
            found = recheck(self._wiring, self._repository, doomed, verdict, fetch=fetch, disk=disk)
            if found.at == "gone":
                result.vanished.append(verdict.tag.name)
            elif found.moved_to is not None:
                result.moved.append(found.moved_to)
                result.indexes |= {found.moved_to.digest} if found.is_index else set()
            elif not kept and not self._keep(doomed, found, result):
                return
            else:
                kept = True
                self.take_tag(verdict.tag.name, doomed.digest, found)
                result.verdicts.append(verdict)
        if result.moved or result.vanished:
            names = ", ".join([*(tag.name for tag in result.moved), *result.vanished])
            result.spared = f"somebody else moved or deleted {names}"

    def end(self) -> None:
        """The tombstone goes, and with it every tag that stands there."""
        if not self._is_over and self._looks_ms is not None:
            self._permit.check()
            self._clear()
            self._wiring.removals.healed(self._repository, (tombstone.DIGEST, self._looks_ms), "", None)
            off = [verdict.tag.name for one in self.taken for verdict in one.verdicts]
            self._left = self._remover.still_listed(self._snapshot, off)
        self._is_over = True

    def note(self) -> None:
        """Notes what is off; while the tombstone is not gone, nothing is."""
        taken = [(one.doomed, tuple(one.verdicts)) for one in self.taken if one.verdicts]
        if not self._is_over or not taken:
            return
        if self._wiring.removals.taken(self._repository, taken, self._left):
            self._wiring.dispatch.enforce(self._repository)
        self._wiring.meter.count("deletes", "untagged", sum(one.only_tags for one, _ in taken))
        time_push_to_gone(self._wiring, self._snapshot)
        for verdict in (verdict for _, verdicts in taken for verdict in verdicts):
            name, digest = verdict.tag.called(self._repository), verdict.tag.digest
            log.info("deleted", tag=name, digest=digest, reason=verdict.reason)

    def _keep(self, doomed: Doomed, found: Found, result: Taken) -> bool:
        """Whether it may go on; what is to be deleted is kept in the trash first."""
        manifest = None
        if not doomed.only_tags:
            manifest = found.manifest or self._wiring.client.get(self._repository, doomed.digest)
            if manifest is None and self._wiring.trash.get(self._repository, doomed.digest) is None:
                result.is_lost()
                return False
        if not may_go(self._wiring, self._snapshot, doomed, manifest):
            result.spared = "it belongs to an image that is there, or cannot be read"
            return False
        kept = (manifest.media_type, manifest.content) if manifest else None
        put = self._wiring.trash.put(self._snapshot, doomed, kept)
        if put is Put.LEASED:
            result.spared = "somebody says that it is in use (lease)"
        return put is Put.KEPT

    def take_tag(self, tag: str, digest: str, found: Found) -> None:
        """A tag that is off may still be listed and point nowhere: a registry that ends in mid-DELETE leaves it so."""
        if found.at == "off" and tag not in self._tags():
            return
        if self._remover.links:
            self._remover.take_off(tag, (digest, tombstone.DIGEST, found.stands))
            if found.at == "tombstone":  # left by a worker that went over the API: its manifest goes, too
                self._wiring.removals.look_at(self._repository, [tombstone.DIGEST])
            return
        stands = digest if found.at == "there" else None
        if self._by_tag and self._deletes_tag(tag, stands):
            return
        self._note_tombstone()
        if found.at != "tombstone":
            put = (self._repository, tag, tombstone.MEDIA_TYPE, tombstone.CONTENT)
            with self._mounted.changing(self._repository, tag, stands, tombstone.DIGEST):
                self._remover.write(lambda: self._wiring.client.put(*put))

    def _note_tombstone(self) -> None:
        """Where this is cut off, and users push over all tags that stand there, nothing else tells that one is left."""
        with self._lock:
            if self._looks_ms is None:
                self._looks_ms = self._wiring.removals.look_at(self._repository, [tombstone.DIGEST])

    def _deletes_tag(self, tag: str, stands: str | None) -> bool:
        """Deletes the tag alone, where the registry knows how; after the first refusal it is known that it does not."""
        able = self._wiring.abilities.deletes_tags(self._restarts)
        try:
            with self._mounted.changing(self._repository, tag, stands, None):
                self._remover.write(lambda: self._wiring.client.delete_tag(self._repository, tag))
        except TagDeletesUnknown:
            with self._lock:
                if self._by_tag:
                    self._clear()  # before any other thread puts one: a DELETE that meets a PUT fails
                    self._wiring.abilities.note_deletes_tags(self._restarts, able=False)
                    self._by_tag = self._is_over = False
            return False
        if able is None:
            self._wiring.abilities.note_deletes_tags(self._restarts, able=True)
        return True

    def _tags(self) -> frozenset[str]:
        if self._listed is None:
            self._listed = frozenset(self._wiring.client.tags(self._repository))
        return self._listed
