"""What a sweep would take that somebody may need who has not finished: seen to be referenced, held, or refused."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

from service.clock import now_us
from service.collect.watch import BUSY_S, PutOff
from service.domain.errors import PushpruneError, RegistryRefused
from service.domain.oci import tombstone
from service.domain.oci.manifest import OCI_MANIFEST, UnreadableManifest, read_references
from service.log import log
from service.registry.client import Manifest, RegistryClient
from service.registry.collector import Collector, Report
from service.registry.probe import LEFTOVERS, UNKNOWN
from service.registry.storage import Storage
from service.store.gate import Loose, Unread
from service.store.keys import short
from service.store.lease import Lease
from service.store.trash import Kept
from service.wiring import Wiring

TOO_MANY = "more pushes are under way than can be remembered"
_LOOSE_S = 30.0
_MOST_HELD = 1000
_HELD_TYPE = "application/vnd.pushprune.held.v1"


class Quiet:
    """Nobody writes while this lives."""

    def __init__(self, wiring: Wiring, collector: Collector, lease: Lease) -> None:
        self._wiring = wiring
        self._storage = collector.storage
        self._lease = lease
        self._began_s = self._ended_s = 0.0

    def begins(self) -> None:
        """From now on nobody writes."""
        self._began_s = time.monotonic()

    def ends(self) -> None:
        """Everybody may write again."""
        self._ended_s = time.monotonic()

    @property
    def closed_ms(self) -> int:
        """For how long the write gate was closed; 0 where none stands before the registry."""
        is_closed = self._began_s and self._wiring.settings.gc.gate == "proxy"
        return round((self._ended_s - self._began_s) * 1000) if is_closed else 0

    @contextmanager
    def holding(self, report: Report) -> Iterator[bool]:
        """Holds what pushes that stand still may need while the block runs; True where that was necessary.

        It then takes another dry run to tell what would be swept. report: what the last one says. What a push has
        uploaded, asked for or mounted is held by a manifest without a tag in its own repository, which goes afterwards:
        so an aborted push does not keep collections away, and one that goes on after all finds its blobs.
        Raises PutOff where the registry lets us do no such thing.
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
            self._release_quietly()
            raise
        try:
            yield True
        finally:
            self._release_quietly()

    def refuse_loose(self, report: Report) -> None:
        """Raises PutOff when the sweep would take a blob, or a layer link, that an unfinished push may need.

        A push notes at the gate, or by notifications, what it relies on; where the storage is mounted, a blob or link
        younger than gc.youth must besides have belonged to something that we deleted. report: of the dry run.
        """
        if needed := self._needed(report):
            raise _refusal(needed[0])
        if self._storage:
            self._refuse_young(report, self._storage)
        self._wiring.gate.sweeping(_swept(report))

    def release(self) -> None:
        """Removes what this run, or one that was cut off, has put to hold blobs; to be done before any dry run."""
        for repository, digest in self._wiring.gate.held():
            self._lease.check()
            self._client.delete(repository, digest)
            self._wiring.gate.released(repository, digest)

    def _release_quietly(self) -> None:
        """What cannot be removed now is removed by the next run."""
        try:
            self.release()
        except PushpruneError as error:
            log.warning("what was held for pushes under way is removed by the next collection", error=str(error))

    @property
    def _client(self) -> RegistryClient:
        return self._wiring.client

    def _needed(self, report: Report) -> tuple[Loose, ...]:
        """The blobs and layer links that the sweep would take and that an unfinished push may need.

        A blob that stays is lost to the push all the same once its repository has no link to it (Distribution 3).
        """
        gate, explained, swept = self._wiring.gate, self._explained(), _swept(report)
        refuse_unknown(self._wiring)
        read_unread(self._wiring, gate.loose(swept))
        needed = []
        for loose in gate.loose(swept):
            if not loose.digest:
                raise PutOff(TOO_MANY, _LOOSE_S)
            if loose.digest not in report.named and (loose.repository, loose.digest) not in report.links:
                continue
            # What is only heard of may have come without the references of its manifest, which went to the trash since.
            if loose.heard and explained.get(loose.digest, 0) > loose.at_ms * 1000:
                continue
            # Who was told that it is not there cannot rely on it.
            if self._wiring.registry is None or self._client.claims_blob(loose.repository, loose.digest):
                needed.append(loose)
        return tuple(needed)

    def _explained(self) -> Mapping[str, int]:
        return self._wiring.trash.held() | dict.fromkeys((tombstone.DIGEST, *LEFTOVERS), now_us())

    def _hold(self, needed: Collection[Loose]) -> None:
        if self._wiring.registry is None or self._wiring.settings.gc.gate == "readonly":
            raise RegistryRefused("nothing can be pushed there")
        blobs: dict[str, dict[str, None]] = {}
        for loose in needed:
            blobs.setdefault(loose.repository, {})[loose.digest] = None
        if sum(map(len, blobs.values())) > _MOST_HELD:
            raise RegistryRefused(f"these are more than {_MOST_HELD} blobs")
        for repository, digests in blobs.items():
            self._lease.check()
            self._client.delete(repository, UNKNOWN)  # what cannot be removed again is not put there
            manifest = _holding(tuple(digests))
            digest = self._wiring.gate.holds(repository, manifest)
            self._client.put(repository, digest, OCI_MANIFEST, manifest)
        log.info("held for pushes that stand still", blobs=sum(map(len, blobs.values())), repositories=len(blobs))

    def _refuse_young(self, report: Report, storage: Storage) -> None:
        since_us, before = now_us() - self._wiring.settings.gc.youth * 1_000_000, self._wiring.gate.was_sweeping()
        explained = self._explained()
        pushed = [(digest, digest, storage.blob_us(digest)) for digest in report.eligible]
        pushed += [(f"{name}@{digest}", digest, storage.layer_us(name, digest)) for name, digest in report.links]
        for called, digest, pushed_us in pushed:
            if digest in explained or short(digest) in before or pushed_us is None or pushed_us <= since_us:
                continue
            wait_s = min(max(BUSY_S, (pushed_us - since_us) / 1_000_000), 600.0)
            raise PutOff(f"{called} was pushed less than gc.youth ago and nothing is known to have held it", wait_s)


def _swept(report: Report) -> frozenset[str]:
    """The digests of the blobs that a sweep takes, or that a repository loses its link to."""
    return frozenset(report.named).union(digest for _, digest in report.links)


def refuse_unknown(wiring: Wiring) -> None:
    """Raises PutOff while a push may be under way that Redis has forgotten."""
    if left_s := wiring.gate.forgotten_s():
        raise PutOff(
            f"Redis has lost what it knew: pushes that began before are not known, for {left_s / 60:.0f} minutes yet",
            min(left_s, 600.0),
        )


def read_unread(wiring: Wiring, loose: Collection[Loose]) -> None:
    """Looks into manifests whose references the registry did not tell, where these may be of what is loose.

    Only notifications with `includereferences` tell them. One that cannot be read frees nothing.
    """
    pushers = {(one.repository, one.client) for one in loose if one.digest}
    for one in wiring.gate.unread() if pushers else ():
        if (one.repository, one.client) in pushers:
            wiring.gate.free(one, _referenced(wiring, one))


def _referenced(wiring: Wiring, one: Unread) -> tuple[str, ...]:
    manifest: Kept | Manifest | None = wiring.trash.get(one.repository, one.digest)
    if manifest is None and wiring.storage is not None:
        manifest = wiring.storage.manifest(one.repository, one.digest)
    if manifest is None and wiring.registry is not None:
        manifest = wiring.registry.get(one.repository, one.digest)
    if manifest is None:
        return ()
    with suppress(UnreadableManifest):
        return tuple(blob for blob, _ in read_references(manifest.media_type, manifest.content).blobs)
    return ()


def _holding(digests: tuple[str, ...]) -> bytes:
    """A manifest that references these blobs; what they are and how large nobody asks of a collector."""
    config, *layers = ({"mediaType": _HELD_TYPE, "digest": digest, "size": 0} for digest in sorted(digests))
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(manifest, separators=(",", ":")).encode()


def _refusal(loose: Loose, why: str = "") -> PutOff:
    return PutOff(f"a push to {loose.repository} may need {loose.digest}, which would be swept{why}", _LOOSE_S)
