"""Online collections over a bucket of a million blobs that does not exist: memory, calls, and their time.

The objects are made up as they are listed, in a process of its own, so that its peak of memory is that of a worker. The
process makes two runs: one unlinks, and the next one, which knows the manifests, deletes.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.collect import run as collect_run
from service.collect.online import claiming, prove, survey
from service.collect.online.checks import Checks
from service.collect.online.marking import Marking
from service.domain.collection.mentions import Mentions
from service.domain.collection.storage_inventory import StorageInventory
from service.registry import Registry, storage_inventory
from service.registry.collector import Collector
from service.registry.layout import BLOBS, REPOSITORIES
from service.registry.objects import PAGE, PARALLEL, ObjectStore, StoredObject
from service.settings import load_settings
from service.wiring import Wiring, wire
from tests.bench.figure import Figure
from tests.fakes.valkey import Valkey

BLOB_COUNT, TAG_COUNT, LAYERS = int(os.environ.get("BENCH_BLOBS", "1000000")), 100, 11
REPOSITORY_COUNT = BLOB_COUNT // 500
CALL_S = 0.020
_MOST_MB = 500
_YOUTH_S = 3600
_DAY_US = 86_400 * 1_000_000


class MadeUp(ObjectStore):
    """A bucket whose objects are made up when they are listed, in order."""

    def __init__(self, written: Path) -> None:
        """Prepare. written: an empty folder for what is written: in memory it would count as the worker's."""
        super().__init__(None, "s3://made-up")
        self.calls: Counter[str] = Counter()
        self._written = written
        # A byte for each hash of a deleted key: two keys seldom have the same.
        self._deleted = bytearray(1 << 22)

    def now_us(self) -> int:
        self.calls["clock"] += 2
        return time.time_ns() // 1000

    def folders(self, prefix: str) -> tuple[str, ...]:
        self.calls["list"] += 1
        if prefix == BLOBS:
            return (f"{BLOBS}/sha256",)
        repositories = tuple(f"{REPOSITORIES}/team/app-{number:04}" for number in range(REPOSITORY_COUNT))
        return repositories if prefix == REPOSITORIES else ()

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        if prefix.startswith(REPOSITORIES):
            keys = _repository(prefix.removesuffix("/_manifests"))
        else:
            keys = _blobs(after[-1]) if prefix.startswith(BLOBS) else iter(())
        at_us = time.time_ns() // 1000 - _DAY_US
        for number, key in enumerate(key for key in keys if not self._deleted[hash(key) % len(self._deleted)]):
            self.calls["list"] += number % PAGE == 0
            yield StoredObject(key, 71, at_us, f"{number:032x}")

    def read(self, key: str) -> bytes | None:
        self.calls["get"] += 1
        file = self._file(key)
        return file.read_bytes() if file.exists() else None

    def head(self, key: str) -> StoredObject | None:
        self.calls["head"] += 1
        return None

    def write(self, key: str, content: bytes | bytearray) -> bool:
        self.calls["put"] += 1
        self._file(key).write_bytes(content)
        return False

    def _file(self, key: str) -> Path:
        return self._written / key.replace("/", "-")

    def read_start(self, key: str, length: int) -> bytes | None:
        self.calls["get"] += 1
        return b"a layer"

    def copy(self, source: str, target: str) -> bool:
        self.calls["copy"] += 1
        return True

    def delete(self, keys: Iterable[str], before_each: Callable[[], object] = lambda: None) -> dict[str, str]:
        before_each()
        names = tuple(keys)
        self.calls["delete"] += -(-len(names) // PAGE)
        for key in names:
            self._deleted[hash(key) % len(self._deleted)] = 1
        return {}


class AnyClient:
    """A stand-in for the registry, which knows no link that was deleted, and has no manifest."""

    def claims_blob(self, repository: str, digest: str) -> bool:
        return False

    def head(self, repository: str, reference: str) -> None:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _blob(number: int) -> str:
    digit = f"{number % 16:x}"
    return digit + _digest(f"{digit}{number // 16}")[1:]


def _blobs(digit: str) -> Iterator[str]:
    for number in range(int(digit, 16), BLOB_COUNT, 16):
        hexadecimal = _blob(number)
        yield f"{BLOBS}/sha256/{hexadecimal[:2]}/{hexadecimal}/data"


def _repository(prefix: str) -> Iterator[str]:
    """Layer links to half a million blobs and more, and tags with one manifest each."""
    start = int(prefix[-4:]) * BLOB_COUNT // REPOSITORY_COUNT
    for number in range(start, start + BLOB_COUNT // REPOSITORY_COUNT * 6 // 5):
        yield f"{prefix}/_layers/sha256/{_blob(number)}/link"
    for number in range(TAG_COUNT):
        yield f"{prefix}/_manifests/revisions/sha256/{_digest(f'{prefix}{number}')}/link"
    for number in range(TAG_COUNT):
        yield f"{prefix}/_manifests/tags/v1.{number}/current/link"
        yield f"{prefix}/_manifests/tags/v1.{number}/index/sha256/{_digest(f'{prefix}{number}')}/link"


def _mentions(digest: bytes) -> Mentions:
    """A manifest mentions blobs of the whole storage: the most different ones that there could be."""
    blobs = random.Random(digest)
    return Mentions(frozenset(bytes.fromhex(_blob(blobs.randrange(BLOB_COUNT))) for _ in range(LAYERS)), frozenset())


def measure() -> Iterator[Figure]:
    """Memory, calls and time of two runs."""
    with tempfile.TemporaryDirectory(prefix="pushprune-bench-") as folder, Valkey(Path(folder) / "valkey") as valkey:
        command = [sys.executable, "-m", "tests.bench.storage_inventory", valkey.url, folder]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    runs = [json.loads(line) for line in lines if line.startswith('{"inventory_mb')]
    yield Figure("a worker before its first collection", f"{runs[0]['before_mb']:.0f} MB")
    for purpose, run in zip(("unlinks", "deletes"), runs, strict=True):
        yield Figure(
            f"online collection of {BLOB_COUNT:,} blobs, a run that {purpose} {run['blobs']:,}: memory of the process",
            f"{run['mb']:.0f} MB; {run['inventory_mb']:.0f} MB after the inventory",
            f"≤ {_MOST_MB} MB",
            run["mb"] <= _MOST_MB,
        )
        calls = run["calls"]
        spelled = ", ".join(f"{count:,} {kind}" for kind, count in calls.items())
        calls_s = sum(calls.values()) * CALL_S / PARALLEL
        yield Figure(f"… calls at the storage, {calls_s:.0f} s at 20 ms and {PARALLEL} at once", spelled)
        yield Figure("… CPU time", f"{run['cpu_s']:.0f} s")


def _wiring(redis: str, folder: Path, objects: ObjectStore) -> Wiring:
    gc = {"collector": "online", "gate": "proxy", "settle": 0}
    registry = {"url": "http://127.0.0.1:1", "debug_url": "http://127.0.0.1:1"}
    loaded = load_settings(
        environ={}, redis={"url": redis}, registry=registry, gc=gc, storage={"path": folder}, data_dir=folder
    )
    periods = loaded.gc.model_copy(update={"grace": 1, "youth": _YOUTH_S})
    parts: dict[str, Any] = {"optional_client": AnyClient(), "objects": objects}
    wiring = wire(loaded.model_copy(update={"gc": periods}))
    return replace(wiring, registry=Registry(collector=Collector((), folder / "lock", 60), **parts))


def _without_a_gate(wiring: Wiring) -> None:
    """Make up the gate process, too: no client pushes. The process obeys at once, and has noted requests for long."""
    gate, connection = wiring.store.gate, wiring.store.connection
    for name, answer in (("processes", ("web:1",)), ("unaware", ()), ("silent", {})):
        setattr(gate, name, lambda *_, answer=answer: answer)
    gate.check_in("web:1")
    with connection.reached() as client:
        client.set(connection.keys.of("gc:noting"), connection.now_ms() - 3 * _YOUTH_S * 1000)
    Checks.look_again_s, claiming._PASSING_S = 0.0, 0.0
    prove.prove = lambda *_: None
    prove.choose = lambda *_: []


def _memory_mb() -> float:
    """The peak. That of `getrusage` begins with the memory of the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _main() -> None:
    written, inventory_mb = Path(sys.argv[2]) / "written", [0.0]
    written.mkdir()
    objects = MadeUp(written)
    wiring = _wiring(sys.argv[1], Path(sys.argv[2]), objects)
    _without_a_gate(wiring)

    def read_inventory(*args: Any) -> StorageInventory:
        inventory = storage_inventory.read_inventory(*args)
        inventory_mb[0] = _memory_mb()
        return inventory

    def read_manifest(self: Marking, repository: str, digest: bytes) -> Mentions:
        objects.calls["get"] += 1
        return _mentions(digest)

    for owner, name, function in ((survey, "read_inventory", read_inventory), (Marking, "_read", read_manifest)):
        setattr(owner, name, function)
    for _ in range(2):
        before_mb, began_s = _memory_mb(), time.process_time()
        objects.calls.clear()
        wiring.store.collections.request("bench")
        collect_run.collect(wiring)
        run = wiring.store.collection_runs.latest(1)[0]
        if run.result != "done":
            raise RuntimeError(f"the collection {run.result}: {run.message}")
        result = {"inventory_mb": inventory_mb[0], "before_mb": before_mb, "mb": _memory_mb(), "calls": objects.calls,
                  "cpu_s": time.process_time() - began_s, "blobs": run.unlinked + run.blobs}  # fmt: skip
        print(json.dumps(result), flush=True)
        time.sleep(2)


if __name__ == "__main__":
    _main()
