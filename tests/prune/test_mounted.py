"""A mounted storage is read instead of asking the registry, once it was seen to change with a write."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from service.prune import deleting
from service.registry.layout import blob_key
from tests.fakes.images import make_image
from tests.fakes.registry_disk import TagLinks, repository_folder
from tests.support.deletions import many, one
from tests.support.system import SHOP, Make, System, untag_first

# So many that tags go before digests, and few where that is wanted anyway.
MANY, COUNT = 150, 12


@pytest.fixture
def mounted(make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A system whose registry has its storage on a disk; `mount`: what is mounted here, that disk unless given."""

    def make(version: str = "2.8", mount: Path | None = None, count: int = COUNT) -> System:
        disk = tmp_path / "registry"
        disk.mkdir()
        if count == COUNT:
            untag_first(monkeypatch)
        return many(make_system, version, count, fake={"disk": disk}, storage={"path": str(mount or disk)})

    return make


def gets(system: System) -> int:
    """The number of our requests for a manifest by a tag."""
    return system.registry.count("pushprune/", "GET", "manifests/v")


def wholly_pruned(system: System, count: int) -> bool:
    newest = f"v{count - 1}"
    system.pull_whole(newest)
    return system.tags() == {newest} and len(system.registry.manifests(SHOP)) == 1


@one
@pytest.mark.parametrize("count", [COUNT, pytest.param(MANY, marks=pytest.mark.deep)])
def test_only_the_first_manifest_of_a_batch_is_requested(mounted: Make, version: str, count: int) -> None:
    system = mounted(version, count=count)
    deleting.delete(system.wiring, SHOP)
    assert wholly_pruned(system, count)
    at_once = max(count - 1 - 100, 0)
    assert gets(system) == 1 + at_once, "of a hundred tags one, and of each digest that goes at once"
    assert len(system.store.trash.deleted(SHOP)) == count - 1


def test_an_image_read_from_the_mounted_storage_can_be_restored(mounted: Make) -> None:
    system = mounted()
    digest = system.registry.tags(SHOP)["v7"]
    deleting.delete(system.wiring, SHOP)
    assert system.wiring.restore.restore(SHOP, tag="v7").digest == digest
    assert system.registry.tags(SHOP)["v7"] == digest


def test_a_stale_copy_of_the_storage_is_not_believed(mounted: Make, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    system = mounted(mount=copy)
    shutil.copytree(tmp_path / "registry", copy)
    again = system.registry.push_image(SHOP, "v5", seed="again")
    TagLinks(repository_folder(copy, SHOP))["v5"] = make_image(f"{SHOP}:v5", layers=0).digest
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert gets(system) >= COUNT - 1
    assert again in system.registry.manifests(SHOP)


def test_a_tag_that_moved_without_an_event_is_seen_on_the_disk(mounted: Make) -> None:
    system = mounted()
    system.deaf = True
    system.registry.push(SHOP, "v5", make_image("unheard"))
    deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["v5"] == make_image("unheard").digest


def test_bytes_that_are_not_what_their_digest_names_are_asked_for(mounted: Make, tmp_path: Path) -> None:
    system = mounted()
    whole = {tag: system.registry.manifests(SHOP)[digest].content for tag, digest in system.registry.tags(SHOP).items()}
    for tag, digest in system.registry.tags(SHOP).items():
        blob = tmp_path / "registry" / blob_key(digest)
        blob.write_bytes(whole[tag] + b" ")
        system.registry.before("GET", f"manifests/{tag}$", partial(blob.write_bytes, whole[tag]))
    deleting.delete(system.wiring, SHOP)
    kept = {content for _, item in system.store.trash.manifests() for content in (item.content,)}
    assert kept == {content for tag, content in whole.items() if tag != f"v{COUNT - 1}"}
