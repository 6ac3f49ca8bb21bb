"""Distribution 3 deletes layer links of blobs that are kept: blobs that an unfinished push mounted are held."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.registry.collector import Collector
from service.registry.collector_report import Report
from tests.conftest import MakeWiring, keep_last
from tests.fakes.images import image_over, make_image, sha256
from tests.fakes.pusher import Pusher
from tests.support.collectors import collector
from tests.support.drain import collect
from tests.support.gate import earlier
from tests.support.storage import Disk
from tests.support.system import Make, System

pytestmark = pytest.mark.slow

FIRST, SOURCE = "aaa/app", "zzz/source"
BASE = make_image("base")
LAYER = BASE.blobs[1]
PUSHED = image_over([LAYER], "pushed")
BLOB = "sha256:" + "a" * 64


def with_collector(system: System, folder: Path) -> System:
    """The fake registry's own garbage-collect."""
    made = Collector(system.registry.gc_command, folder / "lock", 60.0)
    system.wiring = replace(system.wiring, registry=replace(system.wiring.registry, collector=made))
    return system


def mount_and_stall(system: System, pusher: Pusher) -> None:
    """Push all but the manifest, which mounts a layer of a repository that sorts later; then nothing for a minute."""
    pusher.push(SOURCE, "v1", BASE)
    pusher.push_image(FIRST, "other")
    pusher.mount(FIRST, sha256(LAYER), SOURCE)
    pusher.push_blob(FIRST, PUSHED.blobs[0])
    earlier(system.store.connection, "pushing", 60)


@pytest.mark.parametrize("version", ["2.8", "3", "3.1.1"])
def test_a_stalled_push_keeps_the_layer_that_it_mounted(make_system: Make, tmp_path: Path, version: str) -> None:
    system = with_collector(make_system(keep_last(5), version, {"references": True}, gc={"settle": 0}), tmp_path)
    with Pusher(system.registry.url) as pusher:
        mount_and_stall(system, pusher)
        run = collect(system.wiring)
        assert (run.result, run.message) == ("done", "")
        assert system.store.gate.pins() == ()
        pusher.put(FIRST, "late", PUSHED.media_type, PUSHED.manifest)
        assert pusher.pull_whole(FIRST, "late") == PUSHED.digest
        assert pusher.pull_whole(SOURCE, "v1") == BASE.digest


def test_links_of_what_was_deleted_are_deleted_and_counted(make_system: Make, tmp_path: Path) -> None:
    system = with_collector(make_system(keep_last(1), "3.1.1", {"references": True}, gc={"settle": 0}), tmp_path)
    system.push("v1", "v2")
    system.settle()
    run = collect(system.wiring)
    assert (run.result, run.blobs) == ("done", 2)
    assert "2 layer links of repositories were deleted as well" in run.note


SAYS_LINKS = f"""
    print("0 blobs marked, 0 blobs and 0 manifests eligible for deletion")
    print("aaa/app: layer link eligible for deletion: {BLOB}")
    (folder / ("dry" if dry else "swept")).touch()
"""


def test_a_young_link_that_nothing_is_known_of_is_not_deleted(make_wiring: MakeWiring, tmp_path: Path) -> None:
    root = tmp_path / "storage"
    Disk(root).layer("aaa/app", BLOB)
    wiring = make_wiring(gc=collector(tmp_path, SAYS_LINKS), storage={"path": str(root)})
    run = collect(wiring)
    assert run.result == "postponed"
    assert run.message.startswith(f"aaa/app@{BLOB} was pushed less than gc.youth ago")
    assert not (tmp_path / "swept").exists()


def test_a_link_that_was_not_rehearsed_stops_the_sweep(make_wiring: MakeWiring, tmp_path: Path) -> None:
    body = f"""
    if not dry:
        print("0 blobs marked, 0 blobs and 0 manifests eligible for deletion")
        print("aaa/app: layer link eligible for deletion: {BLOB}", flush=True)
        time.sleep(600)
    """
    run = collect(make_wiring(gc=collector(tmp_path, body)))
    assert run.result == "failed"
    assert f"it deleted the layer link aaa/app@{BLOB}, which the dry run did not list" in run.message


def test_the_links_of_a_real_collector_are_read() -> None:
    report: Any = Report()
    for line in (Path(__file__).parents[1] / "data/gc-output/distribution-3-untagged.txt").open():
        report.read(line)
    assert {repository for repository, _ in report.links} == {"g/app"}
    assert len(report.links) == 5
