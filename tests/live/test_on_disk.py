"""Deletions in the storage of a real registry (`delete.via: storage`): as its own, and no push is lost to one."""

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import NotRestorable
from service.prune import deleting, planning
from service.registry.client import RegistryClient
from service.registry.disk import DiskBatch, DiskDeletion
from service.registry.quarantine import Quarantine
from service.registry.storage import Storage
from tests.fakes.crossing import Write
from tests.fakes.images import make_image, make_index, variant
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.live.conftest import Live, LiveSystem, last, pushprune, wait_until
from tests.support.races import (
    BASE,
    HISTORY,
    PATIENCE_S,
    SHOP,
    Repushes,
    healed,
    hurried,
    no_push_is_unheard,
    pair_of,
    said,
)
from workers import tasks

ON_DISK = {"via": "storage"}
NO_DELETES = {"storage": {"delete": {"enabled": False}}}
MOMENT_S = 0.004


def tree(folder: Path) -> set[str]:
    return {str(place.relative_to(folder)) for place in folder.rglob("*")}


@pytest.mark.parametrize("cache", [{}, {"storage": {"cache": {"blobdescriptor": "inmemory"}}}], ids=["plain", "cache"])
def test_a_deletion_in_the_storage_removes_what_a_delete_of_the_registry_removes(cache: dict[str, Any]) -> None:
    """Two repositories with the same images: in one it deletes by digest, in the other we do."""
    require_registry()
    with RealRegistry(config=cache) as registry, Pusher(registry.url) as pusher:
        storage = Storage(registry.storage_path)
        for name in ("theirs", "ours"):
            pusher.push(name, "v1", make_image("two"))
            pusher.push(name, "v1", make_image("one"))
            pusher.push(name, "also", make_image("one"))
            pusher.push(name, "v2", make_image("two"))
            pusher.push(name, "v3", make_index("three"))
        for image in (make_image("one"), make_index("three")):
            assert pusher.manifest("ours", image.digest).status_code == 200
            assert pusher.delete("theirs", image.digest) == 202
            batch = DiskDeletion(storage, RegistryClient(registry.url)).open("ours")
            assert batch.delete(image.digest)
            assert batch.close() == ()
        assert tree(storage.repository_folder("ours")) == tree(storage.repository_folder("theirs"))
        assert pusher.tags("ours") == pusher.tags("theirs") == {"v2"}
        assert pusher.digest_of("ours", make_image("one").digest) is None
        pusher.push("untagged", None, make_image("one"))
        batch = DiskDeletion(storage, RegistryClient(registry.url)).open("untagged")
        batch.delete(make_image("one").digest, ())
        assert batch.close() == ()
        assert pusher.digest_of("untagged", make_image("one").digest) is None


def test_a_registry_that_deletes_nothing_is_pruned_restored_and_collected(live: Live) -> None:
    system = live(policy=last(2), delete=ON_DISK, gc={"settle": "0s"})
    system.registry.restart(NO_DELETES)
    system.start_worker()
    images = {f"v{number}": make_image(f"v{number}") for number in range(4)} | {"v4": make_index("v4")}
    for tag, image in images.items():
        system.pusher.push(SHOP, tag, image)
    wait_until(lambda: system.heard(SHOP, {"v3", "v4"}) and system.quiet(), "it was not pruned")
    assert system.tags(SHOP) == {"v3", "v4"}
    assert system.pusher.delete(SHOP, images["v3"].digest) == 405
    undone = system.wiring.restore.restore(SHOP, tag="v2")
    assert system.pusher.pull_whole(SHOP, "v2") == undone.digest
    system.registry.collect()
    kept = {"v2": images["v2"], "v3": images["v3"], "v4": images["v4"]}
    assert {tag: system.pusher.pull_whole(SHOP, tag) for tag in kept} == {t: i.digest for t, i in kept.items()}
    storage = system.wiring.registry.storage
    assert storage is not None
    assert all(storage.blob_size(images[tag].digest) is None for tag in ("v0", "v1"))
    with pytest.raises(NotRestorable):
        system.wiring.restore.restore(SHOP, tag="v0")


def test_rm_goes_over_the_disk_although_its_worker_dies_and_can_be_undone(live: Live) -> None:
    system = live(policy=last(1000), delete={**ON_DISK, "parallel": 1, "batch_size": 5})
    system.registry.restart(NO_DELETES)
    names = {f"v{number:02}" for number in range(30)}
    for name in sorted(names):
        system.pusher.push_image(SHOP, name, layers=0)
    index = make_index("multi")
    system.pusher.push(SHOP, "multi", index)
    system.pusher.push(SHOP, "v00b", make_image(f"{SHOP}:v00", layers=0))
    every = names | {"multi", "v00b"}
    worker = system.start_worker()
    wait_until(lambda: system.heard(SHOP, every) and system.quiet(), "the pushes were not heard")
    pushprune(system, "rm", "--all-but", "v00b", "--all-but", "v2?", SHOP, "--yes", "--no-wait")
    wait_until(lambda: system.tags(SHOP) < every, "nothing goes")
    system.kill(worker)
    system.start_worker()
    kept = {f"v{number}" for number in range(20, 30)} | {"v00b"}
    wait_until(lambda: system.tags(SHOP) == kept and system.quiet(), "what was asked for does not go")
    for name in kept:
        system.pusher.pull_whole(SHOP, name)
    part = index.children[0].digest
    wait_until(lambda: system.pusher.digest_of(SHOP, part) is None, "a part of the index stayed")
    assert system.pusher.delete(SHOP, make_image(f"{SHOP}:v20", layers=0).digest) == 405
    system.wiring.restore.restore(SHOP, tag="multi")
    assert system.pusher.pull_whole(SHOP, "multi") == index.digest
    assert system.tags(SHOP) == kept | {"multi"}


class Meeting:
    """A batch whose tags are pushed again at the moment at which they are set aside; the pushes end with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, repushes: Repushes) -> None:
        self._writes: list[Write] = []
        add_tag, close = Quarantine.add_tag, DiskBatch.close

        def meet(quarantine: Quarantine, tag: str, digest: str) -> bool:
            write = Write("DELETE", tag, "", time.perf_counter())
            self._writes.append(write)
            repushes.meet(write)
            time.sleep(random.Random(f"{tag} {digest}").uniform(0, MOMENT_S))
            return add_tag(quarantine, tag, digest)

        def end(batch: DiskBatch) -> tuple[str, ...]:
            repushes.wait_until_begun()
            result = close(batch)
            for write in self._writes:
                write.ended_s = write.ended_s or time.perf_counter()
            return result

        monkeypatch.setattr(Quarantine, "add_tag", meet)
        monkeypatch.setattr(DiskBatch, "close", end)


def work(system: LiveSystem) -> bool:
    """Work as a worker does, in this process, so that its steps can be met."""
    hurried(system)
    tasks.attempt(system.wiring, "due", SHOP, planning.enforce)
    tasks.attempt(system.wiring, "doomed", SHOP, deleting.delete)
    return True


@pytest.mark.parametrize("pairs", [8, pytest.param(50, marks=pytest.mark.deep)])
def test_tags_pushed_again_at_the_moment_they_are_removed_end_at_their_last_push(
    live: Live, monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    rule = {"name": "pair", "group": "^(p[0-9]+)-", "keep": {"last": 1}}
    images = {f"p{number}-{item}": variant(BASE, f"p{number}-{item}") for number in range(pairs) for item in "ab"}
    system = live(policy=last(1, rules=[rule]), delete=ON_DISK, history=HISTORY)
    for blob in BASE.blobs:
        system.pusher.push_blob(SHOP, blob)
    for tag, image in images.items():
        system.pusher.put(SHOP, tag, image.media_type, image.manifest)
    wait_until(lambda: system.heard(SHOP, set(images)), "the pushes were not heard")
    repushes = Repushes(system.registry.url, {tag: image.digest for tag, image in images.items()})
    Meeting(monkeypatch, repushes)

    def all_ended() -> bool:
        live_tags = {tag.name for tag in system.store.history.live(SHOP)}
        return work(system) and system.quiet() and repushes.all_ended(live_tags)

    wait_until(all_ended, "it does not go on", PATIENCE_S)
    pushed = repushes.pushed()
    rounds = [item for item in pushed if item.write]
    expected = {item.tag: item.image.digest for item in {pair_of(item.tag): item for item in pushed}.values()}

    def stand() -> bool:
        work(system)
        return system.quiet() and {tag.name: tag.digest for tag in system.store.history.live(SHOP)} == expected

    wait_until(stand, "a tag is lost, or one is left", PATIENCE_S)
    assert {tag: system.pusher.pull_whole(SHOP, tag) for tag in expected} == expected
    assert system.tags(SHOP) == set(expected)
    no_push_is_unheard(system, [(item.tag, item.image.digest) for item in pushed])
    print(said(rounds), f"; {healed(system)} tags were healed")
    assert len(rounds) == 4 * pairs
    assert all(item.overlaps for item in rounds), "the overlap was not provoked"
    assert isinstance(system.wiring.registry.storage, Storage)
    folder = system.wiring.registry.storage.repository_folder(SHOP)
    assert sorted(os.listdir(folder)) == ["_layers", "_manifests", "_uploads"]
