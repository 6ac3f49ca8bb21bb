"""Collections with the real garbage-collect: kept images stay complete, and the collector dies with its holder."""

import sys
from pathlib import Path

from tests.live.conftest import Live, last, wait_until
from tests.support.collectors import command
from tests.support.processes import alive


def test_a_collection_after_many_deletes_gives_bytes_back_and_breaks_nothing(live: Live, tmp_path: Path) -> None:
    system = live(policy=last(2), gc={"command": command(tmp_path), "after_deletes": 5, "settle": 0})
    system.start_worker()
    for number in range(7):
        system.pusher.push_image("shop/api", f"v{number}", layer_bytes=50_000)
    wait_until(system.made, "no collection was made")
    (run,) = system.made()
    assert (run.result, run.reason) == ("done", "5 digests deleted since the last collection")
    assert run.blobs == 15, "five manifests, five configs, five layers"
    assert run.bytes_freed is not None
    assert run.bytes_freed > 5 * 50_000
    for tag in ("v5", "v6"):
        system.pusher.pull_whole("shop/api", tag)


def test_the_collector_dies_with_a_worker_that_is_killed_and_the_next_one_collects(live: Live, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        f"import os, pathlib, time\nfolder = pathlib.Path({str(tmp_path)!r})\n"
        "first = not (folder / 'pid').exists()\n(folder / 'pid').write_text(str(os.getpid()))\n"
        "time.sleep(600 if first else 0)\n"
    )
    system = live(policy=last(2), gc={"command": [sys.executable, str(script)], "settle": 0})
    worker = system.start_worker("garbage")
    system.store.collections.request("by hand")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "no collector was started")
    orphan = int((tmp_path / "pid").read_text())
    worker.kill()
    worker.wait()
    wait_until(lambda: not alive(orphan), "the collector outlived its holder")
    system.start_worker("garbage")
    wait_until(lambda: [run.result for run in system.made()] == ["done"], "it was not made up for")
