"""The time from an accepted push to the deletion of the overflowing tag, with one web process and one worker."""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figure import Figure, percentile
from tests.fakes.images import make_image
from tests.live.conftest import LiveSystem, last, wait_until

KEPT = 10
WARM_UP, PUSHES = 5, 150
GIVE_UP_S = 10
REPOSITORY = "shop/api"
P50_MS, P99_MS = 150, 1000


def measure() -> Iterator[Figure]:
    """Push one image after the other: the next when the tag that overflowed is deleted, or after GIVE_UP_S."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        system = LiveSystem(folder, stack, {"policy": last(KEPT), "log": {"format": "json"}})
        system.store.connection.client.config_set("appendfsync", "everysec")  # as in production
        system.start_worker()
        for number in range(KEPT):
            system.pusher.push_image(REPOSITORY, f"v{number}")
        wait_until(lambda: len(system.store.history.live(REPOSITORY)) == KEPT, "the pushes were not heard")
        for number in range(KEPT, KEPT + WARM_UP):
            _push(system, number)
        taken_ms = [_push(system, number) for number in range(KEPT + WARM_UP, KEPT + WARM_UP + PUSHES)]
    p50, p99 = percentile(taken_ms, 50), percentile(taken_ms, 99)
    stayed = sum(math.isinf(taken) for taken in taken_ms)
    mode = f"of {PUSHES} pushes, one at a time; {_ms(min(taken_ms))} to {_ms(max(taken_ms))}"
    what = "push accepted → overflowing tag gone"
    yield Figure(f"{what}, p50", f"{_ms(p50)} ({mode})", f"≤ {P50_MS} ms", p50 <= P50_MS)
    yield Figure(f"{what}, p99", _ms(p99), f"≤ {P99_MS:,} ms", p99 <= P99_MS)
    yield Figure(f"overflowing tags still there after {GIVE_UP_S} s", f"{stayed} of {PUSHES}", "0", not stayed)


def _ms(taken_ms: float) -> str:
    return f"{taken_ms:.0f} ms" if math.isfinite(taken_ms) else f"more than {GIVE_UP_S} s"


def _push(system: LiveSystem, number: int) -> float:
    """Milliseconds from the registry's 201 until its storage has no folder of the tag that is one too many."""
    image = make_image(f"gone {number}")
    for blob in image.blobs:
        system.pusher.push_blob(REPOSITORY, blob)
    oldest = tag_folder(system, REPOSITORY, f"v{number - KEPT}")
    assert oldest.exists(), f"v{number - KEPT} went before its time"
    system.pusher.put(REPOSITORY, f"v{number}", image.media_type, image.manifest)
    accepted = time.perf_counter()
    while oldest.exists():
        if time.perf_counter() - accepted > GIVE_UP_S:
            return math.inf
        time.sleep(0.001)
    return (time.perf_counter() - accepted) * 1000


def tag_folder(system: LiveSystem, repository: str, tag: str) -> Path:
    """The folder of a tag in the filesystem driver: a look there costs the registry nothing."""
    return system.registry.storage_path / f"docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}"
