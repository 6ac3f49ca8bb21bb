"""Requests that a push costs the registry, counted in its access log."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
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
        for number in range(KEPT):
            _push(system, number)
        none = system.registry.request_count(_US) / KEPT
        _push(system, KEPT)
        compared = system.registry.request_count(_US)
        for number in range(KEPT + 1, KEPT + 1 + PUSHES):
            _push(system, number)
        by_method = {method: system.registry.request_count(_US, method) for method in ("GET", "HEAD", "DELETE", "PUT")}
        each = (system.registry.request_count(_US) - compared) / PUSHES
    yield Figure("requests at the registry per push that overflows nothing", f"{none:g}", "0", none == 0)
    yield Figure(f"the same, for the first overflow ever ({KEPT + 1} tags compared)", f"{compared - none * KEPT:g}")
    seen = ", ".join(f"{count} {method}" for method, count in by_method.items() if count)
    yield Figure(
        "the same, per push that overflows by one tag", f"{each:g} (all in all {seen})", f"≤ {AT_MOST}", each <= AT_MOST
    )


def _push(system: LiveSystem, number: int) -> None:
    """Pushes one image and waits until the history knows it, nothing is left to do and only the last are there."""
    system.pusher.push_image("shop/api", f"v{number}")
    expected = {f"v{kept}" for kept in range(max(0, number - KEPT + 1), number + 1)}
    wait_until(lambda: system.heard("shop/api", expected) and system.quiet(), f"v{number} did not settle")
    assert system.tags("shop/api") == expected
