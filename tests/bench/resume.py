"""Seconds until another worker continues the work of a worker that was killed in the middle of a batch."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figure import Figure, median
from tests.fakes.images import make_image
from tests.live.conftest import LiveSystem, last, wait_until

REPOSITORY = "shop/api"
KEPT, IMAGES, ROUNDS = 10, 150, 5
WITHIN_S = 5.0


def measure() -> Iterator[Figure]:
    """Two workers; the one that holds the repository's lease is killed with -9."""
    rounds = [_round() for _ in range(ROUNDS)]
    first, all_done = [first for first, _ in rounds], [done for _, done in rounds]
    measured = f"{median(first):.1f} s ({min(first):.1f}–{max(first):.1f}, {ROUNDS} rounds); "
    measured += f"all deleted after {median(all_done):.1f} s"
    yield Figure(
        "a killed worker's work resumes after", measured, f"≤ {WITHIN_S:g} s, each time", max(first) <= WITHIN_S
    )


def _round() -> tuple[float, float]:
    """Seconds from the kill until the other worker deleted something, and until all was done."""
    names = [f"v{number}" for number in range(IMAGES)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        system = LiveSystem(folder, stack, {"policy": last(KEPT)})
        system.store.connection.client.config_set("appendfsync", "everysec")  # as in production
        with system.store.leases.hold(f"enforce:{REPOSITORY}"):  # nobody begins before both are there
            for name in names:
                system.pusher.push(REPOSITORY, name, make_image(name, layers=0))
            wait_until(lambda: system.heard(REPOSITORY, set(names)), "the pushes were not heard")
            workers = {worker.pid: worker for worker in (system.start_worker(), system.start_worker())}
        system.wiring.dispatch.enforce(REPOSITORY)
        holder = wait_until(lambda: _in_the_middle(system), "no batch was begun")
        system.kill(workers[holder])
        killed_at = time.perf_counter()
        assert system.store.history.doomed(REPOSITORY), "the batch was done before the kill"
        _until_resumed(system, holder)
        resumed_s = time.perf_counter() - killed_at
        wait_until(lambda: system.heard(REPOSITORY, set(names[-KEPT:])) and system.quiet(), "the work was not finished")
        done_s = time.perf_counter() - killed_at
        assert system.tags(REPOSITORY) == set(names[-KEPT:]), "the wrong tags remain"
    return resumed_s, done_s


def _in_the_middle(system: LiveSystem) -> int | None:
    """The process that holds the lease, once it has deleted some and has many left."""
    holder, left = _holder(system), len(system.store.history.doomed(REPOSITORY))
    return holder if 0 < left < IMAGES - KEPT - 20 else None


def _until_resumed(system: LiveSystem, killed: int) -> None:
    """Wait until the other worker has the lease and has deleted an image."""
    wait_until(lambda: _holder(system) not in (None, killed), "nobody took up the lease")
    left = len(system.store.history.doomed(REPOSITORY))
    wait_until(lambda: len(system.store.history.doomed(REPOSITORY)) < left or not left, "nothing was deleted")


def _holder(system: LiveSystem) -> int | None:
    """The process id in the lease's token."""
    wiring = system.wiring
    with wiring.store.connection.reached() as client:
        token = client.get(wiring.store.connection.keys.of("lease", f"delete:{REPOSITORY}"))
    return int(str(token).partition("-")[0]) if token else None
