"""Journeys over the real registry, real Valkey, real workers, and skopeo."""

import random
import threading
from pathlib import Path
from typing import Any

from tests.fakes.crossing import Crossing, Write
from tests.fakes.images import make_image, oci_layout, variant
from tests.live.conftest import PATIENCE_S, Live, LiveSystem, last, wait_until


def test_the_last_ten_of_thirteen_images_pushed_by_skopeo_remain(live: Live, tmp_path: Path) -> None:
    system = live(policy=last(10))
    system.start_worker("enforce,delete")  # without a walk, whose requests would count
    names = [f"{random.Random(number).randrange(10**6):06x}-build" for number in range(13)]
    images = [oci_layout(tmp_path / f"image{number}", make_image(number)) for number in range(13)]
    for name, image in zip(names[:10], images[:10], strict=True):
        system.skopeo_push("shop/api", name, source=image)
    wait_until(lambda: system.heard("shop/api", set(names[:10])) and system.quiet(), "the pushes were not heard")
    assert system.registry.request_count("pushprune/") == 0, "a push that overflows nothing makes no request"
    for name, image in zip(names[10:], images[10:], strict=True):
        system.skopeo_push("shop/api", name, source=image)
    system.skopeo_push("shop/api", "latest", source=images[12])
    wait_until(lambda: system.tags("shop/api") == {*names[3:], "latest"}, "not exactly the last 10 and latest")
    wait_until(system.quiet, "it does not come to rest")
    pruned = {e.tag: e.reason for e in system.store.history.entries("shop/api") if e.action == "pruned"}
    assert pruned == dict.fromkeys(names[:3], "older than the newest 10 (rule last)")
    assert system.store.outbox.counters()["deleted"] == 3
    wait_until(
        lambda: any(label.startswith("DELETE") for _, label in system.store.meter.read().timings),
        "the worker does not hand on what it counts",
    )
    for name in names[3:]:
        system.pusher.pull_whole("shop/api", name)


COUNT = 80


def _batch(system: LiveSystem) -> set[str]:
    """Push `COUNT` + 10 images while no worker runs; return the tags that must remain."""
    names = [f"b{number:03}" for number in range(COUNT + 10)]
    # The blobs are the same in all of them.
    base = make_image("batch", layers=0)
    for blob in base.blobs:
        system.pusher.push_blob("shop/api", blob)
    for name in names:
        image = variant(base, name)
        system.pusher.put("shop/api", name, image.media_type, image.manifest)
    wait_until(lambda: system.heard("shop/api", set(names)), "the pushes were not heard")
    return set(names[-10:])


class Middle(Crossing):
    """A proxy before the registry that delays deletions once a quarter of them are done."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self._is_reached, self._goes_on = threading.Event(), threading.Event()

    def __exit__(self, *error: Any) -> None:
        self.go_on()
        super().__exit__(*error)

    def begin(self, live: Live) -> LiveSystem:
        """Start a system whose requests to the registry come this way."""
        self._system = live(policy=last(10), registry={"url": self.url})
        self.target = self._system.registry.url
        return self._system

    def reach(self) -> None:
        """Wait until deletions are held up."""
        assert self._is_reached.wait(PATIENCE_S), "the batch never was half done"

    def go_on(self) -> None:
        self._goes_on.set()

    def _hold(self, _: Write) -> None:
        if self._is_reached.is_set() or len(self._system.store.history.doomed("shop/api")) < COUNT * 3 / 4:
            self._is_reached.set()
            self._goes_on.wait(PATIENCE_S)


def _settled(system: LiveSystem, remain: set[str]) -> None:
    wait_until(lambda: system.quiet() and system.tags("shop/api") == remain, "the end state is not exact")
    wait_until(lambda: system.heard("shop/api", remain), "the history differs from the registry")
    for name in remain:
        system.pusher.pull_whole("shop/api", name)
    entries = system.store.history.entries("shop/api", 2000)
    pruned = [entry.tag for entry in entries if entry.action == "pruned"]
    without_reason = {entry.tag: entry.action for entry in entries if entry.tag not in {*pruned, *remain}}
    assert (len(pruned), len(set(pruned)), without_reason) == (COUNT, COUNT, {})


def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(live: Live) -> None:
    with Middle() as middle:
        system = middle.begin(live)
        remain = _batch(system)
        worker = system.start_worker()
        middle.reach()
        system.kill(worker)
        middle.go_on()
        system.start_worker()
        _settled(system, remain)


def test_a_batch_continues_after_redis_was_killed_and_restarted(live: Live) -> None:
    with Middle() as middle:
        system = middle.begin(live)
        remain = _batch(system)
        worker = system.start_worker()
        middle.reach()
        system.valkey.kill()
        middle.go_on()
        system.valkey.start()
        _settled(system, remain)
        assert worker.poll() is None, "the worker did not go on by itself"
