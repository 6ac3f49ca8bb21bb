"""Requests that a push costs the registry, counted in its access log."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tests.bench.figure import Figure
from tests.live.conftest import LiveSystem, last, wait_until

KEPT = 10
PUSHES = 20
AT_MOST = 3
_US = "pushprune/"


def measure() -> Iterator[Figure]:
    """First pushes that overflow nothing, then those that overflow by one tag once the repository is compared."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        system = LiveSystem(folder, stack, {"policy": last(KEPT)})
        system.start_worker()
        # All repositories are compared after the first notification of a registry.
        system.pusher.push_image("shop/first", "v0")
        wait_until(lambda: system.store.history.snapshot("shop/first").compared, "the first image was not compared")
        start = system.registry.request_count(_US)
        for number in range(KEPT):
            _push(system, number)
        none = system.registry.request_count(_US)
        _push(system, KEPT)
        counts = [system.registry.request_count(_US)]
        for number in range(KEPT + 1, KEPT + 1 + PUSHES):
            _push(system, number)
            counts.append(system.registry.request_count(_US))
    each = Counter(later - before for before, later in pairwise(counts))
    yield Figure(
        f"requests at the registry for {KEPT} pushes that overflow nothing", f"{none - start}", "0", none == start
    )
    yield Figure(f"for the first overflow, which compares {KEPT + 1} tags", f"{counts[0] - none}")
    measured = ", ".join(f"{count} ({times} of {PUSHES} pushes)" for count, times in sorted(each.items()))
    yield Figure("for a push that overflows by one tag", measured, f"≤ {AT_MOST}", max(each) <= AT_MOST)


def _push(system: LiveSystem, number: int) -> None:
    """Push one image and wait until the history knows it, nothing is left to do and only the last are there."""
    system.pusher.push_image("shop/api", f"v{number}")
    expected = {f"v{kept}" for kept in range(max(0, number - KEPT + 1), number + 1)}
    wait_until(lambda: system.heard("shop/api", expected) and system.quiet(), f"v{number} did not settle")
    assert system.tags("shop/api") == expected
