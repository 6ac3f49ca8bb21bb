"""One batch of deletions in one repository: what it works with, what it writes, and what it records."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock

from service import tracing
from service.clock import now_us
from service.domain.collection.blob_uses import BlobUses
from service.domain.oci.manifest import INDEX_TYPES
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag
from service.log import log
from service.reconcile.push_times import infer_push_time
from service.registry.manifest import ManifestHead
from service.store import Store
from service.store.keys import short
from service.store.lease import Lease
from service.store.snapshot import Snapshot
from service.wiring import Wiring

SERVED = "served"
LEASED = "protected by a user"
NEEDED = "an image that still exists needs it, or its manifest cannot be read"
_LONGEST_S = 600.0


@dataclass(slots=True)
class ImageOutcome:
    """The outcome of one doomed image.

    Attributes:
        doomed: the digest and its tags.
        untagged: verdicts of the tags that were removed.
        spared: the reason why the digest was not deleted; "" if it was.
        moved: tags that someone else moved, with their new digests.
        indexes: digests of `moved` that are indexes.
        vanished: tags that someone else deleted.
        lost: True if neither the registry nor the trash has the manifest.
    """

    doomed: Doomed
    untagged: list[Verdict] = field(default_factory=list)
    spared: str = ""
    moved: list[Tag] = field(default_factory=list)
    indexes: set[str] = field(default_factory=set)
    vanished: list[str] = field(default_factory=list)
    lost: bool = False

    def note_lost(self) -> None:
        """Note that neither the registry nor the trash has the manifest: nothing can be untagged or restored."""
        self.spared, self.vanished, self.lost = "another client deleted it", list(self.doomed.tags), True


class Batch:
    """One batch of deletions in one repository, while the right to write is held.

    Every write raises LeaseLost before it is sent if the right is lost, and the errors of a request.

    Attributes:
        snapshot: the state of the repository before the batch.
        permit: the right to write.
        exact: see `DeletionBatch.exact`.
        storage: the storage in which tags are rechecked; None to recheck at the registry.
        listing: held by the thread that compares the registry's list of tags with what was deleted.
    """

    def __init__(self, wiring: Wiring, snapshot: Snapshot, permit: Lease) -> None:
        self.store, self.registry = wiring.store, wiring.registry
        self.policies, self.dispatch = wiring.policies, wiring.dispatch
        self.snapshot, self.repository, self.permit = snapshot, snapshot.repository, permit
        self._deletion = wiring.registry.deletion.open(snapshot.repository)
        self.exact, self.storage = self._deletion.exact, self._deletion.storage
        self.listing = Lock()
        self._deleted: str | None = None

    @cached_property
    def tag_names(self) -> list[str]:
        """The names of all tags before the batch, sorted."""
        return sorted(tag.name for tag in self.snapshot.tags)

    @cached_property
    def leaves_tags(self) -> bool | None:
        """True if the registry was seen to leave a tag after a DELETE, False if not, None if that is not known yet.

        Read once for each batch. If another worker learns it meanwhile, the next batch looks for the tags that this
        batch left.
        """
        return self.store.capabilities.leaves_tags(self.snapshot.restarts)

    @cached_property
    def _latest_us(self) -> int:
        return latest_us(self.snapshot)

    @cached_property
    def _blob_uses(self) -> BlobUses | None:
        """The uses of blobs in the repository; None if no collection becomes due by bytes."""
        return BlobUses(self.store.facts.layers(self.repository)) if self.store.deletions.counts_bytes else None

    def write(self, call: Callable[[], object]) -> None:
        """Make one write while the right to write is held."""
        with self.permit.writing():
            call()

    def delete(self, digest: str, tags: Collection[str] | None = None) -> bool:
        """Delete a manifest; False if it did not exist.

        Args:
            tags: the known tags that point at the digest. Over the API, all tags of the digest are deleted.
        """
        with self.permit.writing():
            is_deleted = self._deletion.delete(digest, tags)
        self._deleted = digest
        return is_deleted

    def untag(self, tag: str, expected: Collection[str]) -> None:
        """Delete a tag alone, while it points at one of these digests, see `DeletionBatch.untag`."""
        self.write(lambda: self._deletion.untag(tag, expected))

    def forget(self, doomed: Doomed, still_listed: Collection[str] = ()) -> None:
        """Record that an image was deleted. still_listed: its tags that the registry still lists."""
        freed_bytes = self._blob_uses.delete(doomed.digest) if self._blob_uses else None
        if self.store.deletions.forget(self.snapshot, doomed, still_listed, freed_bytes):
            self.dispatch.enforce(self.repository)
        tracing.note(result="deleted")
        self.log_deleted(verdict for verdict in doomed.verdicts if not verdict.recorded)

    def log_deleted(self, verdicts: Iterable[Verdict]) -> None:
        """Log each deleted tag with its reason, and measure the time since the push that caused the deletion."""
        time_push_to_deletion(self.store, self._latest_us)
        for verdict in verdicts:
            name, digest = verdict.tag.called(self.repository), verdict.tag.digest
            log.info("deleted", tag=name, digest=digest, reason=verdict.reason)

    def spare(self, doomed: Doomed, why: str) -> None:
        """Record that an image is not deleted, and have its repository planned again."""
        self.store.outbox.undoom(self.repository, short(doomed.digest))
        self.store.meter.count("deletes", "spared")
        tracing.note(result="kept", because=why)
        log.info("not deleted", repository=self.repository, digest=doomed.digest, why=why)
        self.dispatch.enforce(self.repository)

    def record(self, outcome: ImageOutcome) -> None:
        """Record what was found instead of a doomed image, so that the image is planned again.

        A moved tag is recorded while the tag is still known to be doomed: a user may have pushed a tag that was already
        removed.
        """
        known = {(tag.name, tag.digest) for tag in self.snapshot.tags} if outcome.moved else set()
        # The plan may be older than the snapshot, which then knows the move already.
        moved = [tag for tag in outcome.moved if (tag.name, tag.digest) not in known]
        if moved:
            # One of our deletions may have removed parts of these indexes.
            if outcome.indexes:
                self.store.deletions.request_healing(self.repository, sorted(outcome.indexes))
            found_tags = [(replace(tag, unannounced=True), "") for tag in moved]
            self.store.facts.adopt(self.snapshot, tags=found_tags, indexes=frozenset(outcome.indexes))
        if outcome.spared:
            self.spare(outcome.doomed, outcome.spared)
        if outcome.vanished:
            self.store.meter.count("deletes", "vanished")
            snapshot = self.store.history.snapshot(self.repository)
            self.store.facts.adopt(snapshot, vanished=outcome.vanished, keep_plan=True, lost=outcome.lost)

    def end(self) -> None:
        """End the batch: have tags healed that were pushed meanwhile.

        If the right to write is lost, the next batch does it.
        """
        pushed = self._deletion.close() if self.permit.valid else ()
        if pushed:
            log.info("tags were pushed while they were deleted", repository=self.repository, tags=pushed)
            self.store.deletions.request_healing(self.repository, pushed)
            self._adopt(pushed)

    def _adopt(self, tags: Collection[str]) -> None:
        """Record pushes that happened during the batch: their notifications may be lost."""
        snapshot, found_tags, indexes = self.store.history.snapshot(self.repository), [], set()
        before = {tag.name: tag for tag in snapshot.tags}
        for name in tags:
            manifest = self._deletion.manifest_of(name)
            if manifest is None or (name in before and before[name].digest == manifest.digest):
                continue
            head = ManifestHead(manifest.digest, manifest.media_type)
            found_tags.append(infer_push_time(self.registry, snapshot, name, head, before.get(name)))
            indexes |= {manifest.digest} if manifest.media_type in INDEX_TYPES else set()
        if found_tags:
            self.store.facts.adopt(snapshot, found_tags, indexes=frozenset(indexes))

    def check_cache(self) -> None:
        """Check that the registry no longer serves a manifest that was deleted; if it does, alert the operator."""
        if self._deleted is None:
            return
        if not self._deletion.is_still_served(self._deleted):
            self.store.outbox.end_trouble(SERVED)
            return
        self.store.outbox.note_trouble(
            SERVED,
            f"the registry still serves {self.repository}@{self._deleted}, which was deleted from its storage: a "
            "cache remembers its answers. Switch that cache off, or set delete.via: api",
        )


@contextmanager
def open_batch(wiring: Wiring, snapshot: Snapshot, permit: Lease) -> Iterator[Batch]:
    """Provide a batch of deletions for a block, and end the batch afterwards.

    Raises:
        RegistryRefused: `delete.via` is the storage, and the storage is not proved to be the registry's.
    """
    batch = Batch(wiring, snapshot, permit)
    try:
        yield batch
    finally:
        batch.end()
    batch.check_cache()


def traced(name: str, doomed: Doomed) -> AbstractContextManager[None]:
    """A span of the work on one doomed image."""
    verdict = doomed.verdicts[0]
    # Traces contain no users.
    reason = verdict.reason.replace(f" by {verdict.by}", "") if verdict.by else verdict.reason
    return tracing.span(name, digest=doomed.digest, tags=doomed.tags, reason=reason, rule=verdict.rule)


def latest_us(snapshot: Snapshot) -> int:
    """Return the latest push to the repository (µs) that was reported; 0 if there is none."""
    return max((tag.pushed_us or 0 for tag in snapshot.tags if not tag.unannounced), default=0)


def time_push_to_deletion(store: Store, latest_us: int) -> None:
    """Measure the time since the latest push to the repository, which caused this deletion.

    A push more than 600 s ago is not the cause: the image was deleted because of its age.
    """
    taken_s = (now_us() - latest_us) / 1_000_000
    if 0 <= taken_s <= _LONGEST_S:
        store.meter.time("push_to_deletion", "", taken_s)
