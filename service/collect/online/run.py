"""Run an online collection: unlink, wait, look again, delete. Clients push meanwhile.

What one run unlinks, a later run deletes: once gc.grace has passed, an inventory begun afterwards shows no link and no
manifest that needs the blob, and no request has named it since.

survey.py    the inventory, the marks, and the plan
marking.py   mark everything that a manifest mentions
journal.py   the blobs that were unlinked, in Redis and in the storage
claiming.py  the gate while digests are claimed
preparation.py  what is done before links and data are deleted: a look for manifests, copies for the quarantine
removal.py   delete links and data under claims
checks.py    check, after the deletions, what clients pushed meanwhile, and repair it
pushed_manifests.py  look for manifests that clients push meanwhile
leftovers.py find and delete what else is not needed: uploads, dangling tags, links, emptied repositories
undelete.py  bring data back because a user asks for it
repair.py    bring data back from quarantine and write links again, where a manifest needs them
record.py    record the garbage by repository and by age
prove.py     prove that the storage is the registry's, and that the registry has no cache
"""

import gc
import time
from collections.abc import Sequence
from contextlib import suppress

from service.clock import now_ms
from service.collect import verify
from service.collect.attempt import Attempt
from service.collect.online import prove
from service.collect.online.checks import Checks
from service.collect.online.claiming import ManifestsHeldTooLong
from service.collect.online.journal import Journal
from service.collect.online.leftovers import Leftovers
from service.collect.online.preparation import FRESH_S, BlobPage, Preparation
from service.collect.online.record import record_garbage, record_restorable
from service.collect.online.removal import BlobRemoval
from service.collect.online.repair import write_links
from service.collect.online.survey import Survey
from service.collect.protect import refuse_unknown
from service.collect.watch import Postponed
from service.domain.collection.digests import unpacked
from service.domain.collection.leftovers import spelled
from service.domain.collection.online import LONGEST_REQUEST_S, OnlinePlan, Rules, UnlinkedBlob
from service.domain.collection.run import SWEEPING, UNLINKING, WAITING, Rehearsal
from service.domain.collection.storage_inventory import StorageInventory
from service.domain.errors import CollectionFailed
from service.registry.blob_quarantine import BlobQuarantine, QuarantineBatch
from service.registry.objects import ObjectStore
from service.store.chunks import chunks

_RETRY_MS = 300_000
# Blobs that are copied into quarantine before their deletion begins.
_PREPARED = 10_000
# How long the run waits for moments in which every admitted PUT of a manifest has been reported, to delete old
# manifests then. After that, it makes PUTs wait.
_BETWEEN_PUTS_S = 10.0
_POLL_S = 0.1
_HELD = "another collection holds the gate and may still run; if its machine is lost: `pushprune gc --open`"
_LOST = (
    "Redis or the storage lost the list of blobs to delete, so nothing was deleted; gc.grace starts again for all blobs"
)
_KEPT = "leftovers that are kept (set gc.leftovers: delete to delete them)"
_MANIFESTS_LATER = (
    "old manifests were kept, because clients pushed manifests without a pause; the next collection deletes them"
)


def collect(attempt: Attempt) -> None:
    """Make an online collection.

    Raises:
        Postponed: a deletion or another collection is in progress, or the collection was cancelled.
        CollectionFailed: the storage cannot be read for certain; nothing was deleted.
    """
    # Python's garbage collector then passes over everything that was there before: it would stop the run for 0.1 s.
    gc.freeze()
    try:
        _OnlineCollection(attempt).run()
    finally:
        gc.unfreeze()


def rehearse(attempt: Attempt) -> None:
    """Record the blobs that no manifest needs. Nothing is deleted, no request waits, and the journal stays as it is."""
    objects = objects_of(attempt)
    survey = Survey(attempt, objects, is_dry=True)
    plan = survey.plan(Journal(objects, attempt.store.claims).read(), rules_of(attempt))
    marks = survey.marking.marks
    listed = (*plan.delete, *plan.unlink, *plan.waiting)
    garbage = {blob.digest: blob for blob in listed if blob.digest not in marks}
    leftovers = Leftovers(attempt, objects, survey).found()
    record_garbage(attempt, survey, garbage, BlobQuarantine(objects).batches(), leftovers)
    blobs = tuple((unpacked(digest), _size(survey.inventory, digest)) for digest in garbage)
    attempt.store.collections.note_rehearsal(Rehearsal(now_ms(), blobs))
    attempt.learn(marked=len(survey.marking.marks), blobs=len(blobs), bytes_freed=sum(size for _, size in blobs))
    attempt.note(
        f"a collection now would delete {len(plan.delete)} of these blobs and unlink {len(plan.unlink)}, whose data is "
        "deleted after gc.grace"
    )
    if leftovers:
        which = "a collection now would delete these, too" if attempt.gc.leftovers == "delete" else _KEPT
        attempt.note(f"{which}: {spelled(leftovers)}")


def look_again_later(attempt: Attempt) -> None:
    """Check the links that the last collection deleted, once every push that began before its end has ended."""
    # If this look fails, it is repeated after a while.
    attempt.store.collections.look_again_at(now_ms() + _RETRY_MS)
    objects = objects_of(attempt)
    journal = Journal(objects, attempt.store.claims)
    survey = Survey(attempt, objects)
    if journal.load():
        write_links(attempt, objects, survey.plan(journal.blobs, rules_of(attempt)).relink)
    attempt.store.collections.looked_again()


def objects_of(attempt: Attempt) -> ObjectStore:
    """The storage. Raises CollectionFailed if it cannot be reached from this worker."""
    if attempt.registry.objects is None:
        raise CollectionFailed(
            "gc.collector: online needs the registry's storage: the folder of storage.path did not exist when this "
            "worker started: mount it, and restart the worker"
        )
    return attempt.registry.objects


def rules_of(attempt: Attempt) -> Rules:
    """The periods of a collection."""
    return Rules(attempt.gc.grace * 1_000_000, attempt.gc.youth * 1_000_000)


def _retention_us(attempt: Attempt) -> int:
    """The shortest time (µs) for which deleted data is in quarantine, from the beginning of its batch."""
    # A PUT of a manifest may find the data right before it is moved, and last as long as the longest request.
    return max(attempt.gc.quarantine, LONGEST_REQUEST_S + FRESH_S) * 1_000_000


def note_quarantine(attempt: Attempt, objects: ObjectStore) -> tuple[QuarantineBatch, ...]:
    """Record the contents of the quarantine, and return them."""
    batches = tuple(batch for batch in BlobQuarantine(objects).batches() if batch.sizes)
    if batches:
        attempt.learn(
            quarantined=sum(len(batch.sizes) for batch in batches),
            quarantined_bytes=sum(sum(batch.sizes.values()) for batch in batches),
            quarantined_until_ms=(batches[-1].at.redis_us + _retention_us(attempt)) // 1000,
        )
    return batches


def _size(inventory: StorageInventory, digest: bytes) -> int:
    blob = inventory.blob(digest)
    return blob.size_bytes if blob else 0


class _OnlineCollection:
    def __init__(self, attempt: Attempt) -> None:
        self._attempt, self._store, self._objects = attempt, attempt.store, objects_of(attempt)
        self._journal = Journal(self._objects, attempt.store.claims)
        self._preparation = Preparation(attempt, self._objects)
        self._removal = BlobRemoval(attempt, self._objects, self._journal)
        self._checks = Checks(attempt, self._objects, self._journal)

    def run(self) -> None:
        attempt, store = self._attempt, self._store
        attempt.progress.at(WAITING)
        refuse_unknown(store)
        if store.gate.state() is not None:
            raise Postponed(_HELD)
        self._wait_for_writers()
        attempt.covered = store.collections.deletions_so_far()
        self._finish_earlier()
        since_ms = store.connection.now_ms()
        survey = Survey(attempt, self._objects)
        attempt.learn(marked=len(survey.marking.marks))
        prove.prove(attempt, survey.inventory, self._objects)
        is_intact = self._journal.load()
        deletes_leftovers = attempt.gc.leftovers == "delete"
        plan = survey.plan(self._journal.blobs, rules_of(attempt), with_links=deletes_leftovers)
        leftovers = Leftovers(attempt, self._objects, survey)
        attempt.begin_sweep(since_ms)
        write_links(attempt, self._objects, plan.relink)
        if is_intact:
            self._journal.begin(plan)
            self._remove(plan, survey)
            if deletes_leftovers:
                leftovers.delete(self._removal)
        else:
            attempt.note(_LOST)
        self._checks.check_pushed(since_ms, survey)
        batches = note_quarantine(attempt, self._objects)
        record_garbage(attempt, survey, self._journal.blobs, batches, leftovers.found())
        record_restorable(attempt, self._journal.blobs, batches)

    def _wait_for_writers(self) -> None:
        """Wait for the end of pushprune's own writes: they do not pass the gate. No new one begins under the lease."""
        end = time.monotonic() + self._attempt.gc.max_wait
        while self._store.leases.writers():
            self._attempt.lease.check()
            if time.monotonic() > end:
                raise Postponed("deletions by pushprune did not end in time")
            time.sleep(_POLL_S)

    def _finish_earlier(self) -> None:
        """Make the checks of an earlier collection that was interrupted."""
        sweep = self._store.collections.open_check()
        if sweep is not None:
            verify.look_at_pushed(self._store, self._attempt.registry, self._attempt.progress, sweep.since_ms)
            self._store.collections.end_check()

    def _remove(self, plan: OnlinePlan, survey: Survey) -> None:
        """Delete what was unlinked long ago, and unlink what is unused now."""
        removal, attempt = self._removal, self._attempt
        try:
            self._delete_and_unlink(plan, survey)
        finally:
            attempt.learn(
                blobs=len(removal.deleted),
                bytes_freed=removal.bytes_freed,
                unlinked=len({blob.digest for blob in removal.unlinked} - {blob.digest for blob in plan.stale}),
                final=removal.final,
            )
        self._journal.save(blob.digest for blob in removal.deleted)
        if removal.failures:
            attempt.note(f"the storage did not delete {removal.failures} objects; they are tried again")
        if removal.unlinked or removal.deleted:
            self._checks.look_again(survey)

    def _delete_and_unlink(self, plan: OnlinePlan, survey: Survey) -> None:
        removal, progress = self._removal, self._attempt.progress
        self._expire(survey)
        if plan.delete:
            progress.at(SWEEPING, *_amount(plan.delete))
        manifests: Sequence[BlobPage] = []
        for blobs in chunks(plan.delete, _PREPARED):
            layers, suspects = self._preparation.prepare(blobs)
            manifests = [*manifests, *suspects]
            with removal.claiming.begun(survey.began.redis_us):
                removal.delete(layers)
                if manifests:
                    manifests = removal.delete_manifests(self._preparation.fresh(manifests), survey.began.redis_us)
        if plan.unlink or plan.stale:
            progress.at(UNLINKING, *_amount(plan.unlink))
            classified = self._preparation.classified(plan.unlink)
            # Files are read below, while the gate processes learn of the claims. A bucket takes seconds for it.
            unused = classified if self._objects.is_local else list(classified)
            with removal.claiming.begun(survey.began.redis_us):
                removal.unlink((*unused, *plan.stale), survey.inventory, survey.began)
        if manifests:
            progress.at(SWEEPING, *_amount([blob for page in manifests for blob in page.blobs]))
            self._delete_manifests(manifests, survey)

    def _delete_manifests(self, pages: Sequence[BlobPage], survey: Survey) -> None:
        """Delete manifests between the PUTs of clients; if there are too many PUTs, these wait."""
        # No manifest is deleted once the gate may have forgotten a PUT (gc.youth).
        removal, tried_s = self._removal, min(_BETWEEN_PUTS_S, self._attempt.gc.youth / 10)
        end = time.monotonic() + tried_s
        while pages:
            is_busy = time.monotonic() > end
            # Before clients wait, because this copies data in a bucket.
            before = pages = self._preparation.fresh(pages)
            with suppress(ManifestsHeldTooLong), removal.claiming.begun(survey.began.redis_us, with_manifests=is_busy):
                pages = removal.delete_manifests(pages, survey.began.redis_us)
            if pages != before:
                end = time.monotonic() + tried_s
            elif is_busy:
                self._attempt.note(_MANIFESTS_LATER)
                break

    def _expire(self, survey: Survey) -> None:
        """Delete the data that has been in quarantine for long enough."""
        retention_us = _retention_us(self._attempt)
        expired = [batch for batch in survey.repair.batches if survey.began.is_after(batch.at, retention_us)]
        kept = {digest for batch in survey.repair.batches if batch not in expired for digest in batch.sizes}
        if expired:
            self._attempt.progress.at(SWEEPING)
            self._removal.expire(expired, lambda digest: digest in kept or survey.inventory.blob(digest) is not None)


def _amount(blobs: Sequence[UnlinkedBlob]) -> tuple[int, int]:
    """The number of blobs and their size."""
    return len(blobs), sum(blob.size_bytes for blob in blobs)
