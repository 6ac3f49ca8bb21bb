"""Sizes are learnt from events and manifests, whatever way an image came, and never from the size of a manifest."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.reconcile import compare
from service.usage.measuring import HOUR_MS, Measuring
from tests.conftest import keep_last
from tests.fakes.images import Image, image_over, index_over, make_image, noise
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System

BASE = noise("base", 5000)


def image(seed: str, own_bytes: int, architecture: str = "amd64") -> Image:
    return image_over([BASE, noise(seed, own_bytes)], seed, architecture=architecture)


def stored(*images: Image) -> int:
    """The bytes of configs and layers of these images and their parts, each blob once."""
    parts = [*images, *(child for of in images for child in of.children)]
    return sum(map(len, {blob for part in parts for blob in part.blobs}))


def sizes(system: System, repository: str = SHOP) -> dict[str, int]:
    return {tag.name: tag.size_bytes for tag in system.store.history.live(repository)}


def measuring(system: System) -> Measuring:
    return Measuring(system.store, system.wiring.registry, per_second=100_000)


ONE, TWO = image("one", 100), image("two", 300, "arm64")
MULTI = index_over([ONE, TWO])
SIGNATURE = make_image("signature", layer_bytes=50)
IMAGES: Mapping[str, Image] = {"one": ONE, "multi": MULTI, "signature": SIGNATURE}


@pytest.mark.parametrize("way", ["reported", "reported without references", "imported", "moved unseen"])
def test_a_size_is_that_of_config_and_layers_whatever_way_an_image_came(make_system: Make, way: str) -> None:
    system = make_system(keep_last(9), fake={"references": way == "reported"})
    with Pusher(system.registry.url) as pusher:
        if way == "moved unseen":
            pusher.push(SHOP, "one", make_image("other"))
            pusher.push(SHOP, "multi", make_image("another"))
            measuring(system).step()
        system.deaf = way in ("imported", "moved unseen")
        for tag, pushed in IMAGES.items():
            pusher.push(SHOP, tag, pushed)
    if system.deaf:
        compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    known = {} if way == "moved unseen" else {"one": stored(ONE), "signature": stored(SIGNATURE)}
    assert sizes(system).items() >= (known if way != "reported without references" else {"one": 0}).items()
    assert sizes(system)["multi"] == 0, "not known, and not the size of its manifest"
    system.work()
    asked = system.registry.count(method="GET", path_part="/manifests/")
    for _ in range(3):
        measuring(system).step()
    assert sizes(system) == {tag: stored(pushed) for tag, pushed in IMAGES.items()}
    if way != "moved unseen":
        size = system.store.usage.sizes()[SHOP]
        assert (size.size_bytes, size.unknown) == (stored(*IMAGES.values()), 0)
        assert system.store.usage.changed() == ()
    assert system.registry.count(method="GET", path_part="/manifests/") - asked <= 5


def test_a_part_that_the_registry_does_not_have_has_no_size(make_system: Make) -> None:
    system = make_system(keep_last(9), fake={"references": True, "sparse_indexes": True})
    with Pusher(system.registry.url) as pusher:
        pusher.push(SHOP, "one", ONE)
        pusher.put(SHOP, "sparse", MULTI.media_type, MULTI.manifest)
        for _ in range(3):
            measuring(system).step()
        assert sizes(system)["sparse"] == stored(ONE)
        asked = system.registry.count(method="GET", path_part="/manifests/")
        pusher.push(SHOP, None, TWO)
        measuring(system).step()
        assert sizes(system)["sparse"] == stored(MULTI)
    assert system.registry.count(method="GET", path_part="/manifests/") == asked


def test_an_image_that_cannot_be_read_is_of_unknown_size_and_read_once(make_system: Make) -> None:
    system = make_system(keep_last(9))
    with Pusher(system.registry.url) as pusher:
        pusher.push(SHOP, "many", image_over([noise(f"layer {number}", 9) for number in range(130)], "many"))
    worker = measuring(system)
    worker.step()
    asked = system.registry.count(method="GET", path_part="/manifests/")
    system.push("v1")
    worker.step()
    assert sizes(system)["many"] == 0
    assert system.store.usage.sizes()[SHOP].unknown == 1
    assert system.registry.count(method="GET", path_part="/manifests/") == asked + 1


def test_a_manifest_that_cannot_be_read_now_is_read_later(make_system: Make) -> None:
    system = make_system(keep_last(9))
    system.push("v1")
    system.registry.fail_next("GET", "/manifests/")
    worker = measuring(system)
    worker.step()
    assert sizes(system) == {"v1": 0}
    assert system.store.usage.changed() == (SHOP,)
    worker.step()
    assert sizes(system) == {"v1": 0}, "the registry has a minute's rest"
    measuring(system).step()
    assert sizes(system)["v1"] > 0


def test_the_storage_used_is_recorded_once_an_hour_and_follows_every_change(make_system: Make) -> None:
    system = make_system(keep_last(1), fake={"references": True})
    with Pusher(system.registry.url) as pusher:
        pusher.push(SHOP, "one", ONE)
        pusher.push("lab/x", "two", TWO)
    measuring(system).step()
    usage = system.store.usage.now()
    assert usage is not None
    assert usage.size_bytes == stored(ONE, TWO)
    assert usage.shared_bytes == len(BASE)
    assert usage.prefixes == {"shop": stored(ONE) - len(BASE), "lab": stored(TWO) - len(BASE)}
    system.push("newer")
    system.work()
    measuring(system).step()
    assert SHOP in system.store.usage.sizes()
    later = system.store.usage.now()
    assert later is not None
    assert later.shared_bytes == 0, "the image that had the base as well was deleted"
    assert len(system.store.usage.since(0)) == 1
    last_ms = system.store.usage.last_record_ms()
    assert last_ms is not None
    client: Any = system.store.connection.client
    key = system.store.connection.keys.of("usage")
    (row,) = client.xrange(key)
    client.delete(key)
    client.xadd(key, row[1], id=f"{last_ms - HOUR_MS}-0")
    measuring(system).step()
    assert [record.size_bytes for record in system.store.usage.since(0)] == [usage.size_bytes, later.size_bytes]


def test_a_repository_is_smaller_after_a_deletion_that_no_push_follows(make_system: Make) -> None:
    system = make_system(keep_last(1), fake={"references": True})
    with Pusher(system.registry.url) as pusher:
        pusher.push(SHOP, "one", ONE)
        pusher.push(SHOP, "two", TWO)
    worker = measuring(system)
    worker.step()
    assert system.store.usage.sizes()[SHOP].size_bytes == stored(ONE, TWO)
    system.work()
    assert system.tags() == {"two"}
    assert system.store.usage.changed() == (SHOP,)
    worker.step()
    assert system.store.usage.sizes()[SHOP].size_bytes == stored(TWO)


def test_a_trash_row_and_the_history_have_the_size_of_the_image(make_system: Make) -> None:
    system = make_system(keep_last(1), fake={"references": True})
    with Pusher(system.registry.url) as pusher:
        pusher.push(SHOP, "multi", MULTI)
        measuring(system).step()
        pusher.push(SHOP, "newer", SIGNATURE)
    system.work()
    system.later()
    kept = {row.tag or row.digest: row.size_bytes for row in system.store.trash.deleted(SHOP)}
    assert kept["multi"] == stored(MULTI)
    pruned = {entry.tag: entry.size_bytes for entry in system.store.history.entries(SHOP) if entry.action == "pruned"}
    assert pruned["multi"] == stored(MULTI)
    system.wiring.restore.restore(SHOP, tag="multi", by="alice")
    assert sizes(system)["multi"] == stored(MULTI)


def test_an_index_that_is_pushed_again_keeps_its_size(make_system: Make) -> None:
    system = make_system(keep_last(9), fake={"references": True})
    with Pusher(system.registry.url) as pusher:
        pusher.push(SHOP, "multi", MULTI)
        measuring(system).step()
        pusher.push(SHOP, "multi", MULTI)
    assert sizes(system) == {"multi": stored(MULTI)}
