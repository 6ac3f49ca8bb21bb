"""Journeys over the real registry, real Valkey, real workers, and skopeo."""

import random
from pathlib import Path

from tests.fakes.images import make_image, variant
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.journeys import oci_layout


def test_of_thirteen_images_pushed_by_skopeo_the_last_ten_remain(live: Live, tmp_path: Path) -> None:
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
    wait_until(
        lambda: system.store.meter.read().counts.get(("deletes", "deleted")) == 3,
        "the worker does not hand on what it counts",
    )
    for name in names[3:]:
        system.pusher.pull_whole("shop/api", name)


def _batch(system: LiveSystem, count: int = 200) -> set[str]:
    """Pushes `count` + 10 images while no worker runs; returns the tags that must remain."""
    names = [f"b{number:03}" for number in range(count + 10)]
    # The blobs are the same in all of them.
    base = make_image("batch", layers=0)
    for blob in base.blobs:
        system.pusher.push_blob("shop/api", blob)
    for name in names:
        image = variant(base, name)
        system.pusher.put("shop/api", name, image.media_type, image.manifest)
    wait_until(lambda: system.heard("shop/api", set(names)), "the pushes were not heard")
    return set(names[-10:])


def _in_the_middle(system: LiveSystem) -> None:
    wait_until(lambda: 20 < len(system.store.history.doomed("shop/api")) < 180, "the batch never was half done")


def _settled(system: LiveSystem, remain: set[str]) -> None:
    wait_until(lambda: system.quiet() and system.tags("shop/api") == remain, "the end state is not exact")
    wait_until(lambda: system.heard("shop/api", remain), "the history differs from the registry")
    for name in remain:
        system.pusher.pull_whole("shop/api", name)
    entries = system.store.history.entries("shop/api", 2000)
    pruned = [entry.tag for entry in entries if entry.action == "pruned"]
    without_reason = {entry.tag: entry.action for entry in entries if entry.tag not in {*pruned, *remain}}
    assert (len(pruned), len(set(pruned)), without_reason) == (200, 200, {})


def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(live: Live) -> None:
    system = live(policy=last(10))
    remain = _batch(system)
    worker = system.start_worker()
    _in_the_middle(system)
    system.kill(worker)
    left = len(system.store.history.doomed("shop/api"))
    system.start_worker()
    wait_until(lambda: len(system.store.history.doomed("shop/api")) < left, "the work was not taken up")
    _settled(system, remain)


def test_redis_killed_in_the_middle_of_a_batch_and_restarted(live: Live) -> None:
    system = live(policy=last(10))
    remain = _batch(system)
    worker = system.start_worker()
    _in_the_middle(system)
    system.valkey.kill()
    system.valkey.start()
    _settled(system, remain)
    assert worker.poll() is None, "the worker did not go on by itself"
