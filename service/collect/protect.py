"""Protect the blobs that unfinished pushes need from a sweep: by a temporary manifest, or by refusing the sweep."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from service.clock import now_us
from service.collect.attempt import Attempt
from service.collect.watch import BUSY_S, Postponed
from service.domain.errors import PushpruneError, RegistryRefused
from service.domain.oci import tombstone
from service.domain.oci.manifest import OCI_MANIFEST, references_of
from service.log import log
from service.registry import Registry
from service.registry.client import RegistryClient
from service.registry.collector_report import Report
from service.registry.manifest import Manifest
from service.registry.probe import LEFTOVERS, UNKNOWN
from service.registry.storage import ReadableStorage
from service.store import Store
from service.store.keys import short
from service.store.trash import TrashedManifest
from service.store.unfinished_pushes import UnreadManifest, UnreferencedBlob

TOO_MANY = "too many pushes are in progress to keep track of all"
_NEEDED_S = 30.0
_MOST_HELD = 1000
_HELD_TYPE = "application/vnd.pushprune.held.v1"


class BlobProtection:
    """The time in which no client writes, and the protection of unfinished pushes during it."""

    def __init__(self, attempt: Attempt) -> None:
        self._store, self._registry, self._gc = attempt.store, attempt.registry, attempt.gc
        self._storage, self._lease = attempt.collector.storage, attempt.lease
        self._began_s = self._ended_s = 0.0

    def begins(self) -> None:
        """Note that no client writes from now on."""
        self._began_s = time.monotonic()

    def ends(self) -> None:
        """Note that clients may write again."""
        self._ended_s = time.monotonic()

    @property
    def closed_ms(self) -> int:
        """Milliseconds for which the write gate was closed; 0 if there is no gate before the registry."""
        is_closed = self._began_s and self._gc.gate == "proxy"
        return round((self._ended_s - self._began_s) * 1000) if is_closed else 0

    @contextmanager
    def holding(self, report: Report) -> Iterator[bool]:
        """Hold the blobs of stalled pushes while the block runs, and yield True if there were any.

        A push relies on the blobs that it has uploaded, asked for or mounted. A manifest without a tag, in the
        repository of the push, references them during the sweep and is deleted afterwards. So an aborted push does not
        prevent collections, and a push that continues finds its blobs. After True, only another dry run tells what
        would be swept.

        Args:
            report: of the last dry run.

        Raises:
            Postponed: the registry does not accept such a manifest.
        """
        needed = self._needed(report)
        if not needed:
            yield False
            return
        try:
            self._hold(needed)
        except RegistryRefused as error:
            self._release_quietly()
            raise _refusal(needed[0], f" (it could not be held: {error})") from error
        except BaseException:
            # Some of the manifests may have been pushed before the error.
            self._release_quietly()
            raise
        try:
            yield True
        finally:
            self._release_quietly()

    def refuse_needed(self, report: Report) -> None:
        """Refuse a sweep that would delete a blob, or a layer link, that an unfinished push may need.

        The gate and the notifications record the blobs that a push relies on. If the storage is mounted, a blob or
        link younger than gc.youth must in addition have belonged to an image that pushprune deleted.

        Args:
            report: of the dry run.

        Raises:
            Postponed: a push may need the blob or the link.
        """
        if needed := self._needed(report):
            raise _refusal(needed[0])
        if self._storage:
            self._refuse_young(report, self._storage)
        # If this sweep is interrupted, the next run must not take the rest of its young blobs for those of a push.
        self._store.gate.note_deleting(_swept(report))

    def release(self) -> None:
        """Delete the manifests with which this run, or an interrupted run, holds blobs.

        This must happen before any dry run: otherwise their blobs are marked.
        """
        for repository, digest in self._store.gate.pins():
            self._lease.check()
            self._client.delete(repository, digest)
            self._store.gate.unpin(repository, digest)

    def _release_quietly(self) -> None:
        """Release the blobs; a manifest that cannot be deleted now is deleted by the next run."""
        try:
            self.release()
        except PushpruneError as error:
            log.warning("temporary manifests were not deleted; the next collection deletes them", error=str(error))

    @property
    def _client(self) -> RegistryClient:
        return self._registry.client

    def _needed(self, report: Report) -> tuple[UnreferencedBlob, ...]:
        """Return the blobs and layer links that the sweep would delete and that an unfinished push may need.

        A push also loses a blob that is kept if its repository loses the link to the blob (Distribution 3).
        """
        pushes, explained, swept = self._store.pushes, self._explained(), _swept(report)
        refuse_unknown(self._store)
        read_unread(self._store, self._registry, pushes.unreferenced(swept))
        needed = []
        for blob in pushes.unreferenced(swept):
            # An entry without a digest means that the table of the gate is full: every blob may be needed.
            if not blob.digest:
                raise Postponed(TOO_MANY, _NEEDED_S)
            if blob.digest not in report.named and (blob.repository, blob.digest) not in report.links:
                continue
            # A blob known only from notifications may belong to a manifest that was reported without its references.
            # If that manifest was deleted since, the trash explains the blob, and no push needs it.
            if blob.heard and explained.get(blob.digest, 0) > blob.at_ms * 1000:
                continue
            # A client to which the registry denies the blob cannot rely on it.
            if not self._registry.is_configured or self._client.claims_blob(blob.repository, blob.digest):
                needed.append(blob)
        return tuple(needed)

    def _explained(self) -> Mapping[str, int]:
        """Map each blob that a deletion explains to the time of that deletion (µs), pushprune's own blobs included."""
        return self._store.trash.held() | dict.fromkeys((*tombstone.DIGESTS, *LEFTOVERS), now_us())

    def _hold(self, needed: Collection[UnreferencedBlob]) -> None:
        if not self._registry.is_configured or self._gc.gate == "readonly":
            raise RegistryRefused("nothing can be pushed to this registry")
        blobs: dict[str, dict[str, None]] = {}
        for blob in needed:
            blobs.setdefault(blob.repository, {})[blob.digest] = None
        if sum(map(len, blobs.values())) > _MOST_HELD:
            raise RegistryRefused(f"these are more than {_MOST_HELD} blobs")
        for repository, digests in blobs.items():
            self._lease.check()
            # This raises if the registry does not delete: a manifest that cannot be deleted again is not pushed.
            self._client.delete(repository, UNKNOWN)
            manifest = _holding(tuple(digests))
            # Redis knows the manifest before the registry does, so that a crash in between leaves nothing behind.
            digest = self._store.gate.pin(repository, manifest)
            self._client.put(repository, digest, OCI_MANIFEST, manifest)
        log.info("protecting the blobs of stalled pushes", blobs=sum(map(len, blobs.values())), repositories=len(blobs))

    def _refuse_young(self, report: Report, storage: ReadableStorage) -> None:
        """Refuse to delete a young blob or link that neither a deletion nor an interrupted sweep explains."""
        since_us, before = now_us() - self._gc.youth * 1_000_000, self._store.gate.was_deleting()
        explained = self._explained()
        swept = [("", digest) for digest in report.eligible] + list(report.links)
        # Only the others are looked up: in a bucket, each takes a request.
        unexplained = [
            (name, digest) for name, digest in swept if digest not in explained and short(digest) not in before
        ]
        for name, digest in unexplained:
            pushed_us = storage.layer_us(name, digest) if name else storage.blob_us(digest)
            if pushed_us is None or pushed_us <= since_us:
                continue
            called = f"{name}@{digest}" if name else digest
            # The wait ends when the blob is old enough, but an answer comes at least every ten minutes.
            wait_s = min(max(BUSY_S, (pushed_us - since_us) / 1_000_000), 600.0)
            raise Postponed(
                f"{called} was pushed less than gc.youth ago and no known image references it: "
                "its push may not have ended",
                wait_s,
            )


def _swept(report: Report) -> frozenset[str]:
    """The digests of the blobs that a sweep deletes, or to which a repository loses its link."""
    return frozenset(report.named).union(digest for _, digest in report.links)


def refuse_unknown(store: Store) -> None:
    """Refuse to collect while a push may be in progress that Redis no longer knows.

    Raises:
        Postponed: Redis lost its data, and a push that began before may not have ended.
    """
    if remaining_s := store.gate.forgotten_s():
        raise Postponed(
            f"Redis lost its data, so pushes in progress are unknown: waiting {remaining_s / 60:.0f} more minutes",
            min(remaining_s, 600.0),
        )


def read_unread(store: Store, registry: Registry, blobs: Collection[UnreferencedBlob]) -> None:
    """Read the manifests that were reported without references, and free the blobs that they reference.

    Only notifications with `includereferences` contain the references. A manifest is read only if its client pushed
    one of these blobs to the same repository. A manifest that cannot be read frees nothing.
    """
    pushers = {(blob.repository, blob.client) for blob in blobs if blob.digest}
    for manifest in store.pushes.unread_manifests() if pushers else ():
        if (manifest.repository, manifest.client) in pushers:
            store.pushes.release_blobs(manifest, _referenced(store, registry, manifest))


def _referenced(store: Store, registry: Registry, unread: UnreadManifest) -> tuple[str, ...]:
    """The blobs that a manifest references; () if the manifest exists nowhere or cannot be understood."""
    manifest: TrashedManifest | Manifest | None = store.trash.get(unread.repository, unread.digest)
    if manifest is None and registry.storage is not None:
        manifest = registry.storage.manifest(unread.repository, unread.digest)
    if manifest is None and registry.is_configured:
        manifest = registry.client.get(unread.repository, unread.digest)
    if manifest is None:
        return ()
    return tuple(blob for blob, _ in references_of(manifest.media_type, manifest.content).blobs)


def _holding(digests: tuple[str, ...]) -> bytes:
    """Return a manifest that references these blobs.

    The media type and the size of each are made up: a collector reads only the digests.
    """
    config, *layers = ({"mediaType": _HELD_TYPE, "digest": digest, "size": 0} for digest in sorted(digests))
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(manifest, separators=(",", ":")).encode()


def _refusal(blob: UnreferencedBlob, details: str = "") -> Postponed:
    return Postponed(f"a push to {blob.repository} may need {blob.digest}, which would be deleted{details}", _NEEDED_S)
