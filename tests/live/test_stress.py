"""Collections under pushes without pause, every two seconds: with the gate nothing breaks, without it images do."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.live.load import Load, broken, every, for_at_least
from tests.support.collectors import command

KEPT = 4


def load_of(system: LiveSystem, folder: Path, pause_s: float = 0) -> Load:
    def push(repository: str, tag: str, source: Path) -> None:
        system.skopeo_push(repository, tag, source=source)

    return Load(system.url, folder, push, pause_s=pause_s)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.deep)])
@pytest.mark.parametrize("references", [True, pytest.param(False, marks=pytest.mark.deep)])
def test_through_the_gate_no_image_breaks_and_no_push_fails(
    live: Live, tmp_path: Path, seconds: int, references: bool
) -> None:
    """references: whether the registry's notifications tell what a manifest references (`includereferences`)."""
    system = live(policy=last(KEPT), gc={"gate": "proxy", "command": command(tmp_path), "settle": 0, "max_wait": "30s"})
    if not references:
        system.registry.restart({"notifications": {"events": {"includereferences": False}}})
    system.start_worker("enforce,delete")
    system.start_worker("garbage")
    collections = system.store.collections

    def done() -> list[Any]:
        return [run for run in system.store.collection_runs.latest(1000) if run.result == "done"]

    # Half of the processor is enough to have pushes at any moment.
    with load_of(system, tmp_path, 0.5 if seconds < 60 else 0) as load:
        requests = every(2, lambda: collections.request("stress"), load.over)
        # On a busy machine the first collections find nothing that is deleted.
        for_at_least(seconds, lambda: len(done()) >= 3 and any(run.blobs for run in done()), at_most_s=seconds + 300)
    requests.join()
    counted = system.wiring.registry.debug
    assert counted is not None
    wait_until(lambda: not counted.undelivered(), "the last pushes are not told")
    wait_until(lambda: system.quiet() and not collections.requested(), "it does not get quiet")
    runs = system.store.collection_runs.latest(1000)
    message = f"{load.pushed} pushes, {len(done())} of {len(runs)} runs: {sorted({run.message for run in runs})}"
    closed_s = sorted(run.closed_ms / 1000 for run in done())
    print(message, sum(run.blobs for run in done()), "blobs swept; the gate was closed for", closed_s)
    assert load.failed == [], message
    assert list(broken(system.registry.url)) == [], message
    assert {run.result for run in system.made()} == {"done"}, message
    assert sum(run.blobs for run in done()), "nothing was ever swept"
    for repository, tag in load.last.values():
        assert tag in system.tags(repository), f"{repository}:{tag} is gone"


@pytest.mark.deep
def test_the_same_load_without_a_gate_breaks(live: Live, tmp_path: Path) -> None:
    """The test above would see broken images: the same load breaks them without a gate."""
    system = live(policy=last(KEPT))
    system.start_worker("enforce,delete")
    with load_of(system, tmp_path) as load:
        for_at_least(5, lambda: bool(_collected(system) and (load.failed or list(broken(system.url)))), at_most_s=300)


def _collected(system: LiveSystem) -> bool:
    """Run the collector and return True, also if a delete removed a folder meanwhile (exit 1): another run follows."""
    with suppress(subprocess.CalledProcessError):
        system.registry.collect()
    return True
