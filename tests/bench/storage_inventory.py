"""The inventory of a bucket of a million blobs that does not exist: memory, calls, and the time that they would take.

The listing is made up as it is read, in a process of its own, so that its peak of memory is that of the inventory.
"""

import hashlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from service.registry.layout import BLOBS, REPOSITORIES
from service.registry.objects import PAGE, PARALLEL, ObjectStore, StoredObject
from service.registry.storage_inventory import read_inventory
from tests.bench.figure import Figure

BLOB_COUNT, REPOSITORY_COUNT, TAG_COUNT = 1_000_000, 2_000, 100
CALL_S = 0.020
_MOST_MB = 500
_US = 1_790_000_000_000_000


class MadeUp(ObjectStore):
    """A bucket whose objects are made up when they are listed, in order."""

    def __init__(self) -> None:
        super().__init__(None, "s3://made-up")
        self.calls = 0

    def now_us(self) -> int:
        return _US

    def folders(self, prefix: str) -> tuple[str, ...]:
        self.calls += 1
        if prefix == BLOBS:
            return (f"{BLOBS}/sha256",)
        return tuple(f"{REPOSITORIES}/team/app-{number:04}" for number in range(REPOSITORY_COUNT))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        keys = _blobs(after[-1]) if prefix.startswith(BLOBS) else _repository(prefix)
        for number, key in enumerate(keys):
            self.calls += number % PAGE == 0
            yield StoredObject(key, 71, _US + number * 1_000_000, "0" * 32)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _blobs(digit: str) -> Iterator[str]:
    for number in range(BLOB_COUNT // 16):
        hexadecimal = digit + _digest(f"{digit}{number}")[1:]
        yield f"{BLOBS}/sha256/{hexadecimal[:2]}/{hexadecimal}/data"


def _repository(prefix: str) -> Iterator[str]:
    """Layer links to half a million blobs and more, and tags with one manifest each."""
    start = int(prefix[-4:]) * BLOB_COUNT // REPOSITORY_COUNT // 16
    for number in range(BLOB_COUNT // REPOSITORY_COUNT * 6 // 5):
        digit = f"{number % 16:x}"
        yield f"{prefix}/_layers/sha256/{digit}{_digest(f'{digit}{start + number // 16}')[1:]}/link"
    for number in range(TAG_COUNT):
        hexadecimal = _digest(f"{prefix}{number}")
        yield f"{prefix}/_manifests/revisions/sha256/{hexadecimal}/link"
        yield f"{prefix}/_manifests/tags/v1.{number}/current/link"
        yield f"{prefix}/_manifests/tags/v1.{number}/index/sha256/{hexadecimal}/link"


def measure() -> Iterator[Figure]:
    """Memory, calls and time of one inventory."""
    command = [sys.executable, "-m", "tests.bench.storage_inventory"]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    size, seconds = f"{result['blobs']:,} blobs, {result['objects']:,} objects", result["seconds"]
    listing_s = result["calls"] * CALL_S / PARALLEL
    yield Figure(f"inventory of {size}: memory of the process", f"{result['mb']:.0f} MB", f"≤ {_MOST_MB} MB",
                 result["mb"] <= _MOST_MB)  # fmt: skip
    yield Figure("… calls at the storage", f"{result['calls']:,}", "")
    yield Figure(f"… time of our own; the calls take {listing_s:.0f} s at 20 ms, beside it", f"{seconds:.0f} s", "")


def _main() -> None:
    store, objects, began_s = MadeUp(), [0], time.monotonic()
    inventory = read_inventory(store, lambda count: objects.__setitem__(0, objects[0] + count))
    blobs, _ = inventory.counts
    print(
        json.dumps(
            {
                "blobs": blobs,
                "objects": objects[0],
                "calls": store.calls,
                "seconds": time.monotonic() - began_s,
                "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    _main()
