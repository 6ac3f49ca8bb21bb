"""A site for online collections: a registry over an object store in memory, the gate, and time that passes at once."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from service.clock import now_us
from service.collect import run as collect_run
from service.collect.online import checks, claiming, marking, prove, removal
from service.collect.online.checks import Checks
from service.collect.reopening import LATEST_MS, reopen
from service.domain.collection import digests
from service.domain.collection.digests import unpacked
from service.domain.collection.gate import WriteRequest, client_of
from service.domain.collection.run import Run
from service.registry import Registry, objects, storage_inventory
from service.registry.collector import Collector
from service.registry.layout import blob_key, revision_key
from service.registry.manifest import ManifestHead
from service.registry.objects import ObjectStore, StoredObject
from service.registry.storage_inventory import read_inventory
from service.settings import Settings
from service.store.claims import Purpose
from service.store.connection import connect
from service.store.gate import GateState
from service.wiring import Wiring, wire
from tests.conftest import MakeWiring
from tests.fakes.images import Image, sha256
from tests.fakes.object_registry import ObjectRegistry, Refusal, Steps
from tests.support.gate import earlier
from tests.support.record import event, record

_PAGE = 7
SHOP, ANN = "shop/api", client_of("10.0.0.7", "docker/27")
GRACE_S, QUARANTINE_S, YOUTH_S = 86_400, 86_400, 3_600
GC = {"collector": "online", "gate": "proxy", "grace": GRACE_S, "youth": YOUTH_S, "settle": 0}
Client = Generator[None, None, bool]


def hasty(settings: Settings, grace: int, youth: int) -> Wiring:
    """A worker's parts with periods of seconds, which no configuration allows, and a patient client of Redis."""
    gc = settings.gc.model_copy(update={"grace": grace, "youth": youth})
    return wire(settings.model_copy(update={"gc": gc}), connect(settings.redis.address or "", answer_s=240))


class Killed(BaseException):
    """The worker was killed at this step."""


class SteppedStore(ObjectStore):
    """An object store whose clock a test moves, and which calls `before_step` before each access of the collection."""

    def __init__(self, store: Any, name: str) -> None:
        super().__init__(store, name)
        self.skew_us = 0
        self.renames = False
        self.before_step: Callable[[str, tuple[str, ...]], object] = lambda action, keys: None
        self.after_step: Callable[[str, tuple[str, ...]], object] = lambda action, keys: None
        self.failing: Callable[[str], bool] = lambda key: False

    @property
    def is_local(self) -> bool:
        """True: data is renamed, as on a filesystem; False: copied and deleted, as in a bucket."""
        return self.renames

    def now_us(self) -> int:
        self._step("clock")
        return super().now_us() + self.skew_us

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """A listing is no snapshot: what is written behind its cursor meanwhile is missed."""
        while page := list(islice(super().list(prefix, after), _PAGE)):
            yield from page
            after = page[-1].key
            self._step("list", prefix)

    def write(self, key: str, content: bytes | bytearray) -> bool:
        self._step("write", key)
        has_versions = super().write(key, content)
        self.after_step("write", (key,))
        return has_versions

    def copy(self, source: str, target: str) -> bool:
        self._step("copy", source)
        return super().copy(source, target)

    def rename(self, source: str, target: str) -> bool:
        self._step("rename", source)
        return super().rename(source, target)

    def delete(self, keys: Iterable[str], before_each: Callable[[], object] = lambda: None) -> dict[str, str]:
        names = tuple(keys)
        if names:
            self._step("delete", *names)
            before_each()
        for name in names:
            if not self.failing(name):
                super().delete([name])
            self.after_step("delete", (name,))
        return {name: "SlowDown" for name in names if self.failing(name)}

    def _step(self, action: str, *keys: str) -> None:
        self.before_step(action, keys)


def make_store() -> ObjectStore:
    """An empty storage."""
    return ObjectStore(MemoryStore(), "memory")


class StoreClient:
    """The registry's answers to HEAD of a blob. `cache`: its blob-descriptor cache, if it has one."""

    def __init__(self, registry: ObjectRegistry) -> None:
        self.registry = registry
        self.cache: set[tuple[str, str]] | None = None

    def head(self, repository: str, digest: str) -> ManifestHead | None:
        is_there = self.registry.objects.head(revision_key(repository, digest)) is not None
        return ManifestHead(digest, "") if is_there else None

    def has_blob(self, repository: str, digest: str) -> bool:
        return self.registry.head(repository, digest)

    def claims_blob(self, repository: str, digest: str) -> bool:
        if self.cache is not None and (repository, digest) in self.cache:
            return True
        is_there = self.registry.head(repository, digest)
        if is_there and self.cache is not None:
            self.cache.add((repository, digest))
        return is_there


class DebugStub:
    """A stand-in for the registry's debug server."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.look: Callable[[], object] = lambda: None
        self.cached = 0.0

    def manifests(self) -> int:
        self.look()
        return self.in_flight

    def cache_requests(self) -> float:
        return self.cached


class OnlineSite:
    """One registry with its storage, its gate and a worker that collects."""

    def __init__(self, wiring: Wiring, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects = SteppedStore(MemoryStore(), "memory")
        # Clients access the storage without being counted as steps of the collection.
        self.plain = ObjectStore(self.objects._store, "memory")
        self.registry = ObjectRegistry(self.plain)
        self.client, self.debug = StoreClient(self.registry), DebugStub()
        # A look at the debug server is a step as well, so that clients go on meanwhile.
        self.debug.look = lambda: self.objects._step("debug")
        parts: dict[str, Any] = {"optional_client": self.client, "objects": self.objects, "debug": self.debug}
        registry = Registry(collector=Collector((), folder / "lock", 60), parallel=1, **parts)
        self.wiring = replace(wiring, registry=registry)
        self.store = self.wiring.store
        # The registry counts a PUT of a manifest as in progress as soon as the gate lets it pass.
        self.counts_puts = True
        # Notifications come some time after the PUT that they report.
        self.reports_puts, self._reports = False, count(1)
        connection = self.store.connection
        real_us, gate = connection.now_us, self.store.gate
        monkeypatch.setattr(connection, "now_us", lambda: real_us() + self.objects.skew_us)
        unaware = gate.unaware

        def obeyed(token: str) -> tuple[str, ...]:
            """The gate process looks right now."""
            gate.check_in("web:1", token, knows_closed=False)
            return unaware(token)

        state = gate.state

        def aged() -> GateState | None:
            """The scripts write times of the clock that does not move."""
            held, skew_ms = state(), self.objects.skew_us // 1000
            return held and replace(held, since_ms=held.since_ms + skew_ms, claimed_ms=held.claimed_ms + skew_ms)

        monkeypatch.setattr(gate, "state", aged)
        monkeypatch.setattr(gate, "unaware", obeyed)
        monkeypatch.setattr(gate, "processes", lambda: ("web:1",))
        # It looks all the time, also while the test lets time pass.
        monkeypatch.setattr(gate, "silent", dict)
        pushes = self.store.pushes
        manifests_put = pushes.manifests_put
        monkeypatch.setattr(
            pushes, "manifests_put", lambda since_ms=0.0: manifests_put(since_ms - self.objects.skew_us / 1000)
        )
        reported_ms = pushes.reported_ms
        monkeypatch.setattr(
            pushes,
            "reported_ms",
            lambda since_ms=0: reported_ms(max(1, since_ms - self.objects.skew_us // 1000) if since_ms else 0),
        )
        claims = self.store.claims
        real_claim = claims.claim

        def claim(token: str, digests: Iterable[bytes], purpose: Purpose, began_us: int) -> frozenset[bytes] | None:
            """The clock of the scripts does not move with the test."""
            self.objects._step("claim")
            return real_claim(token, digests, purpose, began_us - self.objects.skew_us)

        monkeypatch.setattr(claims, "claim", claim)
        real_repositories = claims.claim_repositories

        def claim_repositories(token: str, names: Iterable[str], began_us: int) -> frozenset[str] | None:
            self.objects._step("claim")
            return real_repositories(token, names, began_us - self.objects.skew_us)

        monkeypatch.setattr(claims, "claim_repositories", claim_repositories)
        for owner, pause in (
            (claiming, "POLL_S"), (claiming, "_PASSING_S"), (claiming, "_PAUSE_S"), (Checks, "look_again_s"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, pause, 0)
        monkeypatch.setattr(prove, "_PAUSE_S", 0)
        monkeypatch.setattr(checks, "_PAUSE_S", 0)
        # One thread lists, page by page, so that the order of steps is certain.
        monkeypatch.setattr(storage_inventory, "PARALLEL", 1)
        monkeypatch.setattr(objects, "PARALLEL", 1)
        monkeypatch.setattr(storage_inventory, "PAGE", _PAGE)
        # Few digests are enough to let the tables of digests grow, and to read manifests in several parts.
        monkeypatch.setattr(digests, "_FIRST_SLOTS", 2)
        monkeypatch.setattr(marking, "_AT_ONCE", 2)
        gate.check_in("web:1")
        self.noting_for(YOUTH_S + 60)

    @staticmethod
    def in_pages(patch: pytest.MonkeyPatch) -> None:
        """Unlink two blobs at a time."""
        patch.setattr(removal, "_AT_ONCE", 2)

    def noting_for(self, seconds: int) -> None:
        """The gate has noted digests for so long."""
        connection = self.store.connection
        client = connection.redis
        seconds_now, _ = client.time()
        client.set(connection.keys.of("gc:noting"), (int(seconds_now) - seconds) * 1000)

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.objects.skew_us += round(seconds * 1_000_000)
        for name in ("gc:noted", "pushing", "manifest_puts"):
            earlier(self.store.connection, name, seconds)
        client = self.store.connection.redis
        key = self.store.connection.keys.of("gate")
        for field in client.hkeys(key):
            if field in ("since_ms", "claimed_ms"):
                client.hincrby(key, field, -round(seconds * 1000))

    def collect(self) -> Run:
        """Run a collection to its end."""
        self.store.collections.request("by hand")
        collect_run.collect(self.wiring)
        return self.store.collection_runs.latest(1)[0]

    def collect_after(self, seconds: float = YOUTH_S + 1) -> Run:
        self.later(seconds)
        return self.collect()

    def killed(self, at: int) -> bool:
        """Run a collection whose worker is killed before its step of this number. False if it ends before."""
        count = 0

        def step(action: str, keys: tuple[str, ...]) -> None:
            nonlocal count
            count += 1
            if count > at:
                raise Killed

        gate, opens = self.store.gate, self.store.gate.open
        self.objects.before_step = step
        with pytest.MonkeyPatch.context() as patch:
            # A dead worker opens no gate.
            patch.setattr(gate, "open", lambda token: False if count > at else opens(token))
            try:
                self.collect()
            except Killed:
                return True
            finally:
                self.objects.before_step = lambda action, keys: None
        return False

    def recover(self) -> None:
        """Let another worker open the gate of a dead one, once none of its requests can arrive any more."""
        self.later(LATEST_MS / 1000 + 1)
        self.reopen()

    def reopen(self) -> None:
        """Let another worker look at the gate."""
        reopen(self.store, self.wiring.registry, self.wiring.settings.gc)

    def stored(self) -> frozenset[str]:
        """The blobs that have data."""
        return frozenset(unpacked(blob.digest) for blob in read_inventory(self.plain).blobs())

    def has(self, digest: str) -> bool:
        return self.plain.head(blob_key(digest)) is not None

    def links(self, digest: str) -> frozenset[str]:
        inventory = read_inventory(self.plain)
        return frozenset(link.repository for link in inventory.layer_links(bytes.fromhex(digest[7:])))

    # What clients do. Each `next` is one access to the storage, or one look at a gate that lets the request wait.

    def passed(self, write: WriteRequest) -> Client:
        """Wait until the gate lets a request pass."""
        while not self.store.gate.admit(write, ANN).passes:
            yield
        return True

    def request(self, write: WriteRequest, steps: Steps) -> Generator[None, None, str]:
        yield from self.passed(write)
        yield
        return (yield from steps)

    def pushing(self, repository: str, tag: str | None, image: Image, mount_from: str = "") -> Client:
        """Push an image as Docker does: HEAD, then skip or upload; then the manifest. True if it was accepted."""
        for child in image.children:
            if not (yield from self.pushing(repository, None, child, mount_from)):
                return False
        for blob in image.blobs:
            yield from self._push_blob(repository, blob, mount_from)
        return (yield from self.blind(repository, tag, image))

    def _push_blob(self, repository: str, blob: bytes, mount_from: str) -> Client:
        digest = sha256(blob)
        yield from self.passed(WriteRequest("asks", repository, digest))
        yield
        if self.registry.head(repository, digest):
            return True
        yield
        if mount_from:
            mounts = WriteRequest("begins", repository, digest)
            if (yield from self.request(mounts, self.registry.mounting(repository, digest, mount_from))):
                return True
        uploads = WriteRequest("uploads", repository, digest)
        yield from self.request(uploads, self.registry.uploading(repository, blob))
        return True

    def blind(self, repository: str, tag: str | None, image: Image) -> Client:
        """Put only the manifest, as if all of its blobs were there."""
        write = WriteRequest("manifest", repository, by_tag=tag is not None, reference=tag or image.digest)
        try:
            yield from self.passed(write)
            self.debug.in_flight += self.counts_puts
            try:
                yield
                yield from self.registry.putting(repository, tag, image.manifest)
            finally:
                self.debug.in_flight -= self.counts_puts
        except Refusal:
            return False
        if self.reports_puts:
            put: dict[str, Any] = {"repository": repository, "tag": tag, "digest": image.digest}
            reported = event(next(self._reports), address="10.0.0.7:4711", at_us=now_us(), **put)
            yield
            record(self.store.history, reported)
        return True


def make_site(
    make_wiring: MakeWiring, folder: Path, monkeypatch: pytest.MonkeyPatch, quarantine: int = QUARANTINE_S
) -> OnlineSite:
    """Make a site of its own, without the Redis data of an earlier one."""
    debug = {"debug_url": "http://127.0.0.1:1"}
    wiring = make_wiring(
        "http://127.0.0.1:1", gc=GC | {"quarantine": quarantine}, storage={"path": folder}, registry=debug
    )
    connection = wiring.store.connection
    client = connection.redis
    for key in client.scan_iter(connection.keys.of("*")):
        client.delete(key)
    return OnlineSite(wiring, folder, monkeypatch)


def ended(client: Client) -> bool:
    """Let a client make all of its requests."""
    while True:
        try:
            next(client)
        except StopIteration as end:
            return bool(end.value)


def blobs_of(*images: Image) -> frozenset[str]:
    """The digests of these images and their blobs."""
    return frozenset(digest for image in images for digest in (image.digest, *map(sha256, image.blobs)))
