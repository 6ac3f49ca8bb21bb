"""Deletions in the registry's storage (`delete.via: storage`): as safe as over the API, without a DELETE."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import (
    RegistryRefused,
    StoreUnavailable,
    WritesDisabled,
)
from service.domain.oci import tombstone
from service.prune import deleting, planning
from service.registry.disk import DiskBatch
from service.registry.quarantine import FOLDER, Quarantine
from service.store.deletions import Deletions
from service.store.lease import COLLECT
from tests.conftest import keep_last
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.pusher import Pusher
from tests.fakes.registry_disk import TagLinks, repository_folder
from tests.support.deletions import ago, live
from tests.support.system import SHOP, Make, System, check_that_a_push_wins, doomed_system
from workers import tasks

REFUSING = pytest.mark.parametrize("fake", [{"delete_enabled": False}, {}], ids=["no deletes", "deletes"])


def sent(system: System) -> int:
    """The number of writes sent to the registry."""
    return sum(system.registry.count("pushprune/", method) for method in ("PUT", "DELETE", "POST", "PATCH"))


def shared(on_disk: Make) -> System:
    """v1 is doomed alone: its image is also the protected latest."""
    system = on_disk(keep_last(1, protect=["latest"]))
    for tag in ("v1", "latest"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    return system


@REFUSING
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_an_image_that_the_policy_does_not_keep_is_deleted_with_its_reason(
    on_disk: Make, fake: dict[str, Any], version: str
) -> None:
    system = on_disk(keep_last(1), version, fake=fake)
    system.push("v1", "v2", "v3")
    system.registry.push(SHOP, "v4", make_index("v4"))
    system.registry.push(SHOP, "v5", make_index("v5"))
    system.settle()
    assert system.tags() == {"v5"}
    assert len(system.registry.manifests(SHOP)) == 3
    assert system.pull_whole("v5") == make_index("v5").digest
    reasons = {tag: reason for tag, reason in system.reasons().items() if tag}
    assert reasons == dict.fromkeys(("v1", "v2", "v3", "v4"), "older than the newest (rule last)")
    assert system.store.history.doomed(SHOP) == ()
    assert sent(system) == 0


def test_a_tag_whose_image_is_kept_as_another_is_deleted_alone(on_disk: Make) -> None:
    system = shared(on_disk)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"latest", "v2"}
    system.pull_whole("latest")
    assert system.reasons() == {"v1": "older than the newest (rule last); its image is kept as latest"}
    assert sent(system) == 0


@pytest.mark.parametrize("image", [make_image("one"), make_index("one")], ids=["image", "index"])
@pytest.mark.parametrize("readonly", [False, True], ids=["takes pushes", "read-only"])
def test_a_deleted_image_can_be_restored_whatever_the_registry_accepts(
    on_disk: Make, image: Image, readonly: bool
) -> None:
    system = on_disk(keep_last(1), fake={"delete_enabled": False})
    system.registry.push(SHOP, "v1", image, at=ago(1))
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}
    system.registry.readonly = readonly
    system.wiring.restore.restore(SHOP, tag="v1")
    assert system.pull_whole("v1") == image.digest
    back = live(system, "v1")
    assert back is not None
    assert abs((back.pushed_us or 0) / 1e6 - ago(1).timestamp()) < 60
    system.later()
    assert system.tags() == {"v1", "v2"}


def test_over_the_api_a_read_only_registry_takes_nothing_back(on_disk: Make) -> None:
    system = doomed_system(on_disk, delete={"via": "api"})
    deleting.delete(system.wiring, SHOP)
    system.registry.readonly = True
    with pytest.raises(WritesDisabled, match="is read-only"):
        system.wiring.restore.restore(SHOP, tag="v1")


def at_the_moment(monkeypatch: pytest.MonkeyPatch, when: str, push: Callable[[], object]) -> None:
    """Let a push happen once, right before or right after a tag is set aside."""
    real, done = Quarantine.add_tag, list[object]()

    def add_tag(quarantine: Quarantine, tag: str, digest: str) -> bool:
        if not done and when == "before":
            done.append(push())
        result = real(quarantine, tag, digest)
        if not done and when == "after":
            done.append(push())
        return result

    monkeypatch.setattr(Quarantine, "add_tag", add_tag)


@pytest.mark.parametrize("late", [False, True], ids=["heard at once", "heard late"])
@pytest.mark.parametrize("seed", ["new", "shop/api:v1"], ids=["another image", "the same image again"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("alone", [False, True], ids=["with its image", "alone"])
def test_a_push_that_meets_the_removal_of_its_tag_wins(
    on_disk: Make, monkeypatch: pytest.MonkeyPatch, alone: bool, when: str, seed: str, late: bool
) -> None:
    system = shared(on_disk) if alone else doomed_system(on_disk)
    check_that_a_push_wins(system, lambda push: at_the_moment(monkeypatch, when, push), seed, late)


def test_a_push_written_into_what_was_set_aside_wins(on_disk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distribution 2.8.3 has opened the link, and writes into the file even if it was moved."""
    system = doomed_system(on_disk)
    link = system.storage.tag_folder(SHOP, "v1") / "current" / "link"
    again = make_image("again")
    with link.open("r+") as pushing:

        def write() -> None:
            system.registry.push(SHOP, None, again)
            pushing.truncate(0)
            pushing.write(again.digest)
            pushing.flush()

        real = DiskBatch.close

        def close(batch: DiskBatch) -> tuple[str, ...]:
            write()
            return real(batch)

        monkeypatch.setattr(DiskBatch, "close", close)
        deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["v1"] == again.digest


def test_an_image_that_was_tagged_without_an_event_is_kept(on_disk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion over the API would delete that tag, too."""
    system = doomed_system(on_disk)
    digest = system.registry.tags(SHOP)["v1"]

    def push() -> None:
        system.deaf = True
        system.registry.push_image(SHOP, "stable", seed="shop/api:v1")
        system.deaf = False
        system.missed.clear()

    at_the_moment(monkeypatch, "before", push)
    deleting.delete(system.wiring, SHOP)
    assert system.pull_whole("stable") == digest
    system.settle()
    system.later()
    assert system.pull_whole("stable") == digest
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags() == {"stable"}, "it is the newest"


def test_a_tag_that_moved_without_an_event_is_left_alone(on_disk: Make) -> None:
    system = doomed_system(on_disk)
    system.deaf = True
    pushed = system.registry.push_image(SHOP, "v1", seed="new")
    deleting.delete(system.wiring, SHOP)
    system.deaf = False
    system.later()
    assert system.registry.tags(SHOP)["v1"] == pushed


def test_nothing_is_removed_while_a_collection_holds_the_registry(on_disk: Make) -> None:
    system = doomed_system(on_disk)
    with system.store.leases.hold(COLLECT):
        deleting.delete(system.wiring, SHOP)
        assert system.tags() == {"v1", "v2"}
    deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v2"}


def test_a_removal_that_a_worker_did_not_record_is_recorded_by_the_next(
    on_disk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = doomed_system(on_disk)

    def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable("Redis is away")

    with monkeypatch.context() as patched:
        patched.setattr(Deletions, "forget", away)
        with pytest.raises(StoreUnavailable):
            deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v2"}
    assert system.reasons() == {"v1": "older than the newest (rule last)"}
    assert system.wiring.restore.restore(SHOP, tag="v1").tags == ("v1",)


def test_links_that_a_dead_worker_had_set_aside_are_deleted_later(
    on_disk: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = doomed_system(on_disk)

    def die(_: DiskBatch) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(DiskBatch, "close", die)
        with pytest.raises(KeyboardInterrupt):
            deleting.delete(system.wiring, SHOP)
    quarantine = repository_folder(tmp_path / "registry", SHOP) / FOLDER
    assert quarantine.exists()
    monkeypatch.setattr("service.registry.quarantine._ABANDONED_S", -10.0)
    system.push("v3")
    system.settle()
    assert system.tags() == {"v3"}
    assert not quarantine.exists()


def test_the_mounted_storage_must_be_the_one_that_the_registry_serves(on_disk: Make, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    system = doomed_system(on_disk, storage={"path": str(copy)})
    shutil.copytree(tmp_path / "registry", copy)
    with pytest.raises(RegistryRefused, match="is not what the registry serves"):
        deleting.delete(system.wiring, SHOP)
    assert TagLinks(repository_folder(copy, SHOP)).keys() == {"v1", "v2"}
    assert system.tags() == {"v1", "v2"}
    system.end_back_offs()
    tasks.attempt(system.wiring, "doomed", SHOP, deleting.delete)
    (trouble,) = system.store.outbox.troubles()
    assert "set storage.path to the registry's rootdirectory" in trouble.message


def test_a_tombstone_that_was_left_over_the_api_is_deleted_too(on_disk: Make) -> None:
    system = shared(on_disk)
    Pusher(system.registry.url, agent=system.agent).put(SHOP, "v1", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"latest", "v2"}
    assert tombstone.FIRST.digest not in system.registry.manifests(SHOP)
    assert sent(system) == 1, "nothing but that tombstone was put"


def test_a_tag_that_points_nowhere_is_deleted(on_disk: Make) -> None:
    system = doomed_system(on_disk)
    digest = system.registry.tags(SHOP)["v1"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Deletions, "forget", lambda *_, **__: False)
        deleting.delete(system.wiring, SHOP)
    TagLinks(repository_folder(system.storage.root, SHOP))["v1"] = digest
    system.later()
    assert system.tags() == {"v2"}


def test_a_registry_that_still_serves_a_deleted_image_is_reported(on_disk: Make) -> None:
    system = doomed_system(on_disk)
    digest = system.registry.tags(SHOP)["v1"]
    says = {"Docker-Content-Digest": digest, "Content-Type": "application/json", "Content-Length": "2"}
    system.registry.fail_next("HEAD", digest, status=200, headers=says)
    deleting.delete(system.wiring, SHOP)
    (trouble,) = system.store.outbox.troubles()
    assert "still serves" in trouble.message
    system.push("v3")
    system.settle()
    assert system.store.outbox.troubles() == ()


@pytest.mark.usefixtures("complete_pushes")
def test_a_manifest_without_a_tag_is_deleted(on_disk: Make) -> None:
    rule = {"name": "last", "keep": {"last": 1}, "untagged": 0}
    system = on_disk(keep_last(1, rules=[rule]))
    system.push("v1")
    system.registry.push_image(SHOP, "v1", seed="again")
    system.settle()
    system.later()
    assert set(system.registry.manifests(SHOP)) == {make_image("again").digest}
    assert sent(system) == 0
