"""The holder of the gate dies or is paused at each point of a run: the gate opens again, and never beside an orphan."""

import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from service.domain.events import BLOB_TYPE, Envelope, Event
from service.store import Store
from tests.fakes.real_registry import registry_binary
from tests.live.conftest import Live, last, wait_until
from tests.support.record import event

SHOP = "shop/api"

# Runs the real collector, stops at the points that a file names, tells where it is, and notes who else runs.
_WRAPPER = """
    import os, pathlib, subprocess, sys, time
    folder = pathlib.Path({folder!r})
    is_dry = "--dry-run" in sys.argv

    def reach(point):
        # Keeps the time at which the point was first reached.
        (folder / f"at-{{point}}").open("a").close()
        while (folder / f"hold-{{point}}").exists():
            time.sleep(0.01)

    (folder / "pids").mkdir(exist_ok=True)
    for other in (folder / "pids").iterdir():
        try:
            state = pathlib.Path("/proc", other.name, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            (folder / "overlap").touch()
    (folder / "pids" / str(os.getpid())).touch()
    reach("dry" if is_dry else "between")
    collected = subprocess.run([{binary!r}, "garbage-collect", *sys.argv[1:], {config!r}], close_fds=False)
    if not is_dry:
        reach("sweep")
    if not is_dry and (folder / "hold-opening").exists() and os.fork() == 0:
        os.setsid()
        (folder / "pids" / str(os.getpid())).touch()
        reach("opening")
        os._exit(0)
    (folder / "pids" / str(os.getpid())).unlink()
    sys.exit(collected.returncode)
"""


def runs(pid: str) -> bool:
    """True if a process exists and has not ended; its exit code may not have been read yet."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Stage:
    """A system whose collector stops where a test wants it to."""

    def __init__(self, live: Live, folder: Path) -> None:
        self.folder = folder
        script = folder / "collector.py"
        config = str(folder / "registry" / "config.yml")
        text = textwrap.dedent(_WRAPPER)
        script.write_text(text.format(folder=str(folder), binary=registry_binary(), config=config))
        gc = {"gate": "proxy", "command": [sys.executable, str(script)], "settle": 0}
        self.system = live(policy=last(1), gc=gc)
        self.wiring = self.system.wiring
        self.system.start_worker("enforce,delete")
        for tag in ("v1", "v2"):
            self.system.pusher.push_image(SHOP, tag)
        wait_until(lambda: self.system.tags(SHOP) == {"v2"} and self.system.quiet(), "v1 was not deleted")

    def hold(self, point: str) -> None:
        """Let the collector stop at this point; `draining` lasts for half a minute at most."""
        if point == "draining":
            self._hears(event(1, tag=None, media_type=BLOB_TYPE, repository="shop/held"))
        else:
            (self.folder / f"hold-{point}").touch()

    def let_go(self, point: str) -> None:
        if point == "draining":
            blobs = ((event(1).digest or "", 1),)
            self._hears(event(2, repository="shop/held", blobs=blobs))
        else:
            (self.folder / f"hold-{point}").unlink()

    def _hears(self, messages: Event) -> None:
        self.wiring.store.history.record(Envelope((messages,), ()))

    def drain(self) -> None:
        """Push an image, so that the dry run is made behind the gate."""
        self.reach("draining")
        self.let_go("draining")

    def reach(self, point: str) -> None:
        reached = self.folder / f"at-{point}"
        wait_until(lambda: self.state() == "draining" if point == "draining" else reached.exists(), f"never at {point}")

    def state(self) -> str:
        held = self.wiring.store.gate.state()
        return held.state if held else "open"

    def alive(self) -> list[str]:
        """The collectors, and what they started, that run."""
        folder = self.folder / "pids"
        pids = [file.name for file in folder.iterdir()] if folder.exists() else []
        return [pid for pid in pids if runs(pid)]

    @property
    def store(self) -> Store:
        """Everything in Redis."""
        return self.wiring.store


@pytest.fixture
def stage(live: Live, tmp_path: Path) -> Stage:
    return Stage(live, tmp_path)


@pytest.mark.parametrize(
    "point",
    [
        "early",
        "sweep",
        "opening",
        *(pytest.param(point, marks=pytest.mark.deep) for point in ("draining", "dry", "between")),
    ],
)
def test_a_worker_killed_at_any_point_leaves_a_gate_that_opens_and_no_collector(stage: Stage, point: str) -> None:
    system, is_early = stage.system, point == "early"
    point = "dry" if is_early else point
    worker = system.start_worker("garbage")
    stage.hold(point)
    if point == "dry" and not is_early:
        stage.hold("draining")
    stage.wiring.store.collections.request("by hand")
    if point == "dry" and not is_early:
        stage.drain()
    stage.reach(point)
    assert stage.state() == ("open" if is_early else "draining" if point == "draining" else "closed")
    worker.kill()
    worker.wait()
    if point == "opening":
        assert stage.alive(), "the stray is gone too early"
        assert stage.state() == "closed", "it opened beside an orphan"
    if point in ("draining", "opening"):
        stage.let_go(point)
    wait_until(lambda: stage.state() == "open", "the gate does not open")
    assert is_early or stage.alive() == [], "it opened beside an orphan"
    wait_until(lambda: not stage.alive(), "it outlives its holder")
    if point not in ("draining", "opening"):
        stage.let_go(point)
    wait_until(lambda: not stage.wiring.store.leases.collecting(), "its lease does not end")
    if stage.wiring.store.collections.requested() is None:
        stage.wiring.store.collections.request("once more")
    before = len(system.made())
    system.start_worker("garbage")
    wait_until(lambda: len(system.made()) > before, "the next run is not made")
    newest = system.made()[0]
    assert (newest.result, newest.message) == ("done", "")
    assert not (stage.folder / "overlap").exists(), "two collectors at once"
    assert stage.state() == "open"
    system.pusher.pull_whole(SHOP, "v2")
    system.pusher.push_image(SHOP, "v3")


def test_a_holder_that_was_paused_for_longer_than_its_lease_does_not_sweep(stage: Stage) -> None:
    worker = stage.system.start_worker("garbage")
    stage.hold("dry")
    stage.hold("draining")
    stage.wiring.store.collections.request("by hand")
    stage.drain()
    stage.reach("dry")
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not stage.wiring.store.leases.collecting(), "its lease does not end")
        assert stage.state() == "closed", "its collector is not proved dead"
        with stage.wiring.store.leases.write() as permit:
            assert permit is None, "a delete of ours beside a collector"
        second = stage.system.start_worker("garbage")
        wait_until(
            lambda: any("still runs" in run.message for run in stage.wiring.store.collection_runs.latest()),
            "it is not postponed",
        )
        stage.system.kill(second)
        assert not (stage.folder / "overlap").exists()
        stage.let_go("dry")
        wait_until(lambda: not stage.alive(), "the dry run does not end")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    wait_until(lambda: stage.state() == "open", "the gate does not open")
    failed = wait_until(lambda: _of_the_paused(stage), "the run of the paused holder was not recorded")
    assert failed.result == "failed"
    swept = stage.folder / "at-between"
    # The next attempt may have begun by now, and its sweep is right.
    assert not swept.exists() or swept.stat().st_mtime * 1000 > failed.ended_ms, stage.store.collection_runs.latest()


def _of_the_paused(stage: Stage) -> Any:
    runs = stage.wiring.store.collection_runs.latest()
    return next((run for run in runs if "lease" in run.message), None)
