"""Online collections every two seconds under pushes without pause: nothing breaks, and no push fails."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.collect import run as collect_run
from service.collect.online.checks import Checks
from service.collect.online.repair import Repair
from service.domain.collection.run import Run
from service.registry.collector_report import Report
from tests.fakes.s3 import S3Server
from tests.fakes.slow_s3 import SlowS3
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.live.load import Load, broken, every, for_at_least
from tests.support.online import hasty
from tests.support.waiting import until

KEPT = 4
GC = {"collector": "online", "gate": "proxy", "settle": 0}


class Collections:
    """A collector in this process, for each requested collection."""

    def __init__(self, system: LiveSystem, grace: int, youth: int) -> None:
        self._wiring = hasty(system.wiring.settings, grace, youth)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="collections")

    def __enter__(self) -> "Collections":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _collect(self) -> None:
        while not self._over.wait(0.1):
            collect_run.collect(self._wiring)


def test_an_image_can_be_restored_until_its_data_leaves_the_quarantine(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checks, "look_again_s", 0.2)
    system = live(policy=last(1), gc=GC)
    digest = system.pusher.push_image("shop/api", "v1")
    system.start_worker("enforce,delete")
    system.pusher.push_image("shop/api", "v2")
    wait_until(lambda: system.tags("shop/api") == {"v2"}, "v1 is not deleted")
    collections = system.store.collections

    def deletes() -> bool:
        if collections.requested() is None:
            collections.request("by hand")
        return any(run.quarantined for run in system.store.collection_runs.latest())

    with Collections(system, grace=1, youth=3):
        wait_until(deletes, "nothing is deleted")
        until(lambda: collections.requested() is None)
    system.wiring.restore.restore("shop/api", tag="v1")
    assert system.pusher.pull_whole("shop/api", "v1") == digest


@pytest.fixture
def place(storage: str) -> Iterator[dict[str, Any]]:
    """The settings of a registry on this storage: filesystem, moto, or a bucket on a faster server."""
    if storage == "filesystem":
        yield {}
        return
    with S3Server("some/folder") if storage == "moto" else SlowS3({}, "some/folder") as server:
        yield {"storage": server.settings, "registry_config": server.config}


@pytest.mark.parametrize("storage", ["filesystem", "moto"])
def test_the_registrys_own_dry_run_finds_nothing_that_was_left(
    place: dict[str, Any], live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checks, "look_again_s", 0.2)
    system = live(policy=last(1), gc=GC, **place)
    pushed = {tag: system.pusher.push_image("shop/api", tag, seed=tag) for tag in ("v1", "v2", "v3")}
    collections = system.store.collections

    def eligible() -> list[str]:
        report = Report()
        for line in system.registry.collect("--dry-run").splitlines():
            report.read(line)
        return report.eligible

    def collected() -> bool:
        if collections.requested() is None:
            collections.request("by hand")
        return sum(run.blobs for run in system.store.collection_runs.latest(1000)) == count

    for tag in ("v1", "v2"):
        assert system.wiring.registry.client.delete("shop/api", pushed[tag])
    count = len(eligible())
    assert count
    # A run that takes longer than the youth deletes no manifest, and the server of the bucket is slow.
    with Collections(system, grace=1, youth=10 if place else 3):
        wait_until(collected, "not everything is deleted")
        until(lambda: collections.requested() is None)
    assert eligible() == []
    assert system.pusher.pull_whole("shop/api", "v3") == pushed["v3"]


@pytest.mark.parametrize(
    ("storage", "seconds", "pushers", "kinds", "enough"),
    [
        ("filesystem", 6, 5, (), 2),
        ("bucket", 6, 2, ("again", "slow"), 1),
        pytest.param("filesystem", 90, 8, (), 2, marks=pytest.mark.deep),
        pytest.param("bucket", 90, 8, (), 2, marks=pytest.mark.deep),
        pytest.param("moto", 60, 2, (), 2, marks=pytest.mark.deep),
    ],
)
def test_online_collections_break_no_image_and_fail_no_push(
    place: dict[str, Any],
    live: Live,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: str,
    seconds: int,
    pushers: int,
    kinds: tuple[str, ...],
    enough: int,
) -> None:
    """enough: runs that deleted blobs."""
    # The look after each deletion would take most of the time.
    monkeypatch.setattr(Checks, "look_again_s", 1.0)
    # moto is slow. A run that takes longer than the youth unlinks nothing, and a request that takes longer than the
    # grace may need what was deleted.
    periods = {"moto": (30, 20, 1.0), "bucket": (12, 3, 0.5), "filesystem": (12, 3, 0.5)}
    youth, grace, pause_s = (10, 10, 0.0) if pushers > 5 else periods[storage]
    system = live(policy=last(KEPT), gc=GC, **place)
    system.start_worker("enforce,delete")
    collections = system.store.collections
    healed: list[str] = []
    real = Repair.bring_back

    def bring_back(repair: Repair, *arguments: Any) -> Any:
        returned = real(repair, *arguments)
        healed.extend(digest.hex() for digest in returned)
        return returned

    monkeypatch.setattr(Repair, "bring_back", bring_back)

    def was_pruned(repository: str, digest: str) -> bool:
        return system.store.trash.get(repository, digest) is not None

    def done() -> list[Run]:
        return [run for run in system.store.collection_runs.latest(1000) if run.result == "done" and run.blobs]

    def push(repository: str, tag: str, source: Path) -> None:
        system.skopeo_push(repository, tag, source=source)

    with Collections(system, grace=grace, youth=youth):
        with Load(system.url, tmp_path, push, pushers, pause_s, kinds, was_pruned, youth) as load:
            requests = every(2, lambda: collections.request("stress"), load.over)
            for_at_least(seconds, lambda: len(done()) >= enough, at_most_s=2 * seconds + 300)
        requests.join()
        counted = system.wiring.registry.debug
        assert counted is not None
        wait_until(lambda: not counted.undelivered(), "the last pushes are not told", within_s=300)
        wait_until(lambda: system.quiet() and not collections.requested(), "it does not get quiet", within_s=300)
        before = list(broken(system.registry.url))
        collections.request("the next look, which heals")
        wait_until(lambda: not collections.requested(), "it does not end", within_s=180)
    runs = system.store.collection_runs.latest(1000)
    messages = sorted({run.message for run in runs})
    message = f"{load.pushed} pushes of at most {load.slowest_s:.1f} s, {len(runs)} runs: {messages}"
    print(message, sum(run.blobs for run in runs), "blobs deleted,", sum(run.unlinked for run in runs), "unlinked")
    print("remarks:", {run.note for run in runs})
    print("broken before the last look:", before, "brought back from quarantine:", healed)
    assert load.failed == [], message
    assert list(broken(system.registry.url)) == [], message
    assert {run.result for run in system.made()} == {"done"}, message
    assert sum(run.blobs for run in runs), "nothing was ever deleted"
    # A push that waits for longer than gc.gate_wait fails.
    waits = system.store.meter.read().timings.get(("gate_wait", "passed"))
    print("waits at the gate:", waits and waits.counts)
    for repository, tag in load.last.values():
        assert tag in system.tags(repository), f"{repository}:{tag} is gone"


@pytest.mark.deep
@pytest.mark.parametrize("storage", ["filesystem", "bucket"])
def test_the_registrys_own_collector_breaks_images_under_the_same_load(
    place: dict[str, Any], live: Live, tmp_path: Path
) -> None:
    """The test above would see broken images: the same load breaks them here."""
    system = live(policy=last(KEPT), **place)
    system.start_worker("enforce,delete")

    def collect() -> None:
        # It stumbles over folders that are deleted meanwhile.
        with suppress(subprocess.CalledProcessError):
            system.registry.collect()

    def push(repository: str, tag: str, source: Path) -> None:
        system.skopeo_push(repository, tag, source=source)

    def seen_broken() -> list[str]:
        with Load(system.url, tmp_path, push, 8) as load:
            requests = every(0.1, collect, load.over)
            for_at_least(10, lambda: True, at_most_s=60)
        requests.join()
        # A tag that is deleted while it is looked at would look broken, too.
        wait_until(system.quiet, "it does not get quiet", within_s=300)
        images = list(broken(system.registry.url))
        print(f"{load.pushed} pushes, {len(load.failed)} refused, broken:", images)
        return images

    assert any(seen_broken() for _ in range(5))
