"""Seconds until the work of a worker that was killed in the middle of a batch is taken up by another."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

from tests.bench.figure import Figure, median
from tests.fakes.images import make_image
from tests.live.conftest import LiveSystem, last, wait_until

KEPT, IMAGES, ROUNDS = 10, 150, 5
WITHIN_S = 5.0


def measure() -> Iterator[Figure]:
    """Two workers; the one that holds the repository's lease is killed with -9."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        system = LiveSystem(folder, stack, {"policy": last(KEPT)})
        system.wiring.connection.client.config_set("appendfsync", "everysec")  # as in production
        rounds = [_round(system, f"shop/api-{number}") for number in range(ROUNDS)]
    first, all_done = [first for first, _ in rounds], [done for _, done in rounds]
    measured = f"{median(first):.1f} s ({min(first):.1f}–{max(first):.1f}, {ROUNDS} rounds); "
    measured += f"all deleted after {median(all_done):.1f} s"
    yield Figure(
        "a killed worker's work resumes after", measured, f"≤ {WITHIN_S:g} s, each time", max(first) <= WITHIN_S
    )


def _round(system: LiveSystem, repository: str) -> tuple[float, float]:
    """Seconds from the kill until the other worker deleted something, and until all was done."""
    names = [f"v{number}" for number in range(IMAGES)]
    for name in names:
        image = make_image(f"{repository} {name}", layers=0)
        system.pusher.push(repository, name, image)
    wait_until(lambda: system.heard(repository, set(names)), "the pushes were not heard")
    workers = {worker.pid: worker for worker in (system.start_worker(), system.start_worker())}
    system.wiring.outbox.mark_due([repository])
    holder = wait_until(lambda: _in_the_middle(system, repository), "no batch was begun")
    killed = workers.pop(holder)
    system.kill(killed)
    at = time.perf_counter()
    assert len(system.wiring.history.doomed(repository)) > 1, "the batch was done before the kill"
    resumed_s = _until_resumed(system, repository, killed, at)
    wait_until(lambda: system.heard(repository, set(names[-KEPT:])) and system.quiet(), "the work was not finished")
    done_s = time.perf_counter() - at
    assert system.tags(repository) == set(names[-KEPT:]), "the wrong tags remain"
    for worker in workers.values():
        system.kill(worker)
    return resumed_s, done_s


def _in_the_middle(system: LiveSystem, repository: str) -> int | None:
    """The process that holds the lease, once it has deleted some and has many left."""
    holder = _holder(system, repository)
    left = len(system.wiring.history.doomed(repository))
    return holder if holder and 0 < left < IMAGES - KEPT - 20 else None


def _until_resumed(system: LiveSystem, repository: str, killed: Popen[bytes], at: float) -> float:
    """The other has the lease, and one more is deleted than by then."""
    wait_until(lambda: _holder(system, repository) not in (None, killed.pid), "nobody took up the lease")
    left = len(system.wiring.history.doomed(repository))
    wait_until(lambda: len(system.wiring.history.doomed(repository)) < left or not left, "nothing was deleted")
    return time.perf_counter() - at


def _holder(system: LiveSystem, repository: str) -> int | None:
    """The process id in the lease's token."""
    wiring = system.wiring
    with wiring.connection.reached() as client:
        token = client.get(wiring.connection.keys.lease(f"delete:{repository}"))
    return int(str(token).partition("-")[0]) if token else None
