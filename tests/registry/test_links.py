"""Deletions on disk: races that a push wins, and refusals. test_storage_deletion.py has what a bucket does alike."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.client import RegistryClient
from service.registry.disk import DiskDeletion
from service.registry.quarantine import FOLDER, SIGN, Quarantine
from service.registry.storage import Storage
from tests.fakes.registry import FakeRegistry
from tests.support.storage_sites import ONE, OTHER, SHOP, DiskSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DiskSite]:
    with FakeRegistry(disk=tmp_path) as registry:
        yield DiskSite(registry, tmp_path)


def test_a_link_that_a_push_writes_while_its_tag_is_set_aside_is_restored(site: DiskSite) -> None:
    """Distribution 2.8.3 opens the link, empties it and writes; it writes on even if the file is moved meanwhile."""
    with site.link("v1").open("r+") as pushing:
        batch = site.open()
        batch.untag("v1", (ONE.digest,))
        pushing.truncate(0)
        pushing.write(OTHER.digest)
    assert batch.close() == ("v1",)
    assert site.registry.tags(SHOP)["v1"] == OTHER.digest


def test_a_tag_that_is_being_written_right_now_is_kept(site: DiskSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push comes between the look at the link and the step that sets it aside."""
    batch, add_tag = site.open(), Quarantine.add_tag

    def write_first(quarantine: Quarantine, tag: str, digest: str) -> bool:
        site.link(tag).write_text("")
        return add_tag(quarantine, tag, digest)

    monkeypatch.setattr(Quarantine, "add_tag", write_first)
    with pytest.raises(RegistryUnavailable):
        batch.untag("v1", (ONE.digest,))
    assert site.link("v1").exists()
    batch.close()
    assert site.link("v1").exists()


def test_a_push_that_makes_the_tag_anew_wins_over_what_was_set_aside(site: DiskSite) -> None:
    with site.link("v1").open("r+") as pushing:
        batch = site.open()
        batch.untag("v1", (ONE.digest,))
        pushing.write("sha256:")
        site.registry.push(SHOP, "v1", OTHER)
    batch.close()
    assert site.registry.tags(SHOP)["v1"] == OTHER.digest
    assert not (site.folder / FOLDER).exists()


def test_a_link_that_distribution_3_is_writing_beside_the_old_one_is_kept(site: DiskSite) -> None:
    fresh = site.link("v1").with_name("link.0f0e0d0c-1234-4abc-8def-0123456789ab.tmp")
    fresh.write_text(OTHER.digest)
    batch = site.open()
    with pytest.raises(RegistryUnavailable):
        batch.untag("v1", (ONE.digest,))
    fresh.rename(site.link("v1"))
    batch.close()
    assert site.registry.tags(SHOP)["v1"] == OTHER.digest


def test_a_link_half_written_by_distribution_3_is_deleted_with_its_tag(site: DiskSite) -> None:
    fresh = site.link("v1").with_name("link.0f0e0d0c-1234-4abc-8def-0123456789ab.tmp")
    fresh.write_text("sha2")
    os.utime(fresh, (1, 1))
    batch = site.open()
    assert batch.untag("v1", (ONE.digest,))
    batch.close()
    assert "v1" not in site.registry.tags(SHOP)


def test_the_leftovers_of_a_dead_process_are_settled_by_the_next_process(site: DiskSite) -> None:
    with site.link("v1").open("r+") as pushing:
        batch = site.open()
        batch.delete(ONE.digest, ("v1", "v1b"))
        pushing.truncate(0)
        pushing.write(OTHER.digest)
    (site.storage.tags_folder(SHOP) / f"{SIGN}left").mkdir()
    for place in (*(site.folder / FOLDER).iterdir(), site.storage.tags_folder(SHOP) / f"{SIGN}left"):
        os.utime(place, (1, 1))
    site.open().close()
    assert site.registry.tags(SHOP) == {"v1": OTHER.digest, "v2": OTHER.digest}
    assert ONE.digest not in site.registry.manifests(SHOP)
    assert not (site.folder / FOLDER).exists()


def test_a_batch_that_is_at_work_is_left_alone_by_the_next(site: DiskSite) -> None:
    first = site.open()
    first.untag("v1", (ONE.digest,))
    site.open().close()
    assert (site.folder / FOLDER).exists()
    first.close()
    assert not (site.folder / FOLDER).exists()


@pytest.mark.parametrize(
    "place",
    ["v1/notes.txt", "v1/current/copy", "v1/index/sha256/more/than/that", "v1/index/link", "v1/extra/link"],
)
def test_a_tag_with_something_odd_in_its_folder_is_refused_and_is_kept(site: DiskSite, place: str) -> None:
    odd = site.folder / "_manifests/tags" / place
    odd.parent.mkdir(parents=True, exist_ok=True)
    odd.write_text("?")
    batch = site.open()
    with pytest.raises(RegistryRefused, match="was not created by a registry version known here"):
        batch.delete(ONE.digest)
    batch.close()
    assert site.registry.tags(SHOP)["v1"] == ONE.digest
    assert odd.exists()
    assert ONE.digest in site.registry.manifests(SHOP)


@pytest.mark.parametrize("place", ["v1b", "v1b/current", "v1b/index", "v1b/current/link"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_tag_that_a_user_has_linked_to_another_is_refused_and_both_are_kept(
    site: DiskSite, place: str, absolute: bool
) -> None:
    """The link leads to the other tag: removing its content would remove that tag."""
    tags = site.folder / "_manifests/tags"
    linked, meant = tags / place, tags / place.replace("v1b", "v1")
    shutil.rmtree(linked) if linked.is_dir() else linked.unlink()
    linked.symlink_to(meant if absolute else os.path.relpath(meant, linked.parent))
    batch = site.open()
    with pytest.raises(RegistryRefused, match="was not created by a registry version known here"):
        batch.untag("v1b", (ONE.digest,))
    batch.close()
    assert site.registry.tags(SHOP) == {"v1": ONE.digest, "v1b": ONE.digest, "v2": OTHER.digest}


def test_a_linked_tag_that_a_process_that_died_had_set_aside_takes_nothing_else_along(site: DiskSite) -> None:
    tags = site.folder / "_manifests/tags"
    shutil.rmtree(tags / "v1b")
    (tags / "v1b").symlink_to(tags / "v1")
    aside = site.folder / FOLDER / "dead" / "tags" / ONE.digest.replace(":", "-") / "v1b"
    aside.parent.mkdir(parents=True)
    (tags / "v1b").rename(aside)
    os.utime(aside.parents[2], (1, 1))
    site.open().close()
    assert site.registry.tags(SHOP) == {"v1": ONE.digest, "v2": OTHER.digest}
    assert not (site.folder / FOLDER).exists()


def test_a_repository_that_is_a_link_to_another_is_refused(site: DiskSite) -> None:
    (site.folder.parent / "old-name").symlink_to("api")
    before = site.tree()
    with pytest.raises(RegistryRefused, match=r"shop/old-name is a symbolic link"):
        site.deletion.open("shop/old-name")
    assert site.tree() == before


@pytest.mark.parametrize("part", ["_manifests", "_manifests/tags", "_manifests/revisions"])
def test_a_repository_whose_tags_or_manifests_are_another_s_is_refused(site: DiskSite, part: str) -> None:
    site.registry.push("shop/web", "v1", OTHER)
    ours = site.storage.repository_folder("shop/web") / part
    shutil.rmtree(ours)
    ours.symlink_to(site.folder / part)
    before = site.tree()
    with pytest.raises(RegistryRefused, match="is a symbolic link"):
        site.deletion.open("shop/web")
    assert site.tree() == before


def test_repositories_that_lie_on_another_disk_are_no_others(site: DiskSite, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    site.folder.parent.rename(tmp_path / "disk" / "shop")
    site.folder.parent.symlink_to(tmp_path / "disk" / "shop")
    batch = site.open()
    assert batch.untag("v1", (ONE.digest,))
    batch.close()
    assert site.registry.tags(SHOP) == {"v1b": ONE.digest, "v2": OTHER.digest}


def test_a_repository_below_another_is_its_own(site: DiskSite) -> None:
    site.registry.push(f"{SHOP}/next", "v1", ONE)
    batch = site.open()
    batch.delete(ONE.digest)
    batch.close()
    assert site.registry.tags(f"{SHOP}/next") == {"v1": ONE.digest}
    batch = site.deletion.open(f"{SHOP}/next")
    batch.delete(ONE.digest)
    batch.close()
    assert site.registry.tags(SHOP) == {"v2": OTHER.digest}


def test_a_copy_of_the_storage_is_refused(site: DiskSite, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site.disk / "docker", copy / "docker")
    before = sorted(copy.rglob("*"))
    with pytest.raises(RegistryRefused, match="is not what the registry serves"):
        DiskDeletion(Storage(copy), RegistryClient(site.registry.url)).open(SHOP)
    assert sorted(copy.rglob("*")) == before


@pytest.mark.parametrize(
    "odd",
    ["docker/registry/v2/index", f"docker/registry/v2/repositories/{SHOP}/_manifests/more",
     f"docker/registry/v2/repositories/{SHOP}/_strange"],
)  # fmt: skip
def test_an_unknown_layout_is_refused(site: DiskSite, odd: str) -> None:
    (site.disk / odd).mkdir()
    with pytest.raises(RegistryRefused, match="is not the layout of a registry version known here"):
        site.open()


def test_a_folder_that_holds_no_registry_is_refused(site: DiskSite, tmp_path: Path) -> None:
    with pytest.raises(RegistryRefused, match=r"set storage\.path to the registry's rootdirectory"):
        DiskDeletion(Storage(tmp_path / "elsewhere"), RegistryClient(site.registry.url)).open(SHOP)


def test_another_user_than_the_registrys_is_refused(site: DiskSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(RegistryRefused, match="run pushprune as the registry's user"):
        site.open()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_restored_files_belong_to_the_owner_of_the_repository(site: DiskSite) -> None:
    os.chown(site.folder, 1234, 2345)
    site.folder.chmod(0o775)
    batch = site.open()
    batch.delete(ONE.digest)
    batch.close()
    batch = site.open()
    batch.put(ONE.manifest, "v1")
    assert site.registry.tags(SHOP)["v1"] == ONE.digest
    assert ONE.digest in site.registry.manifests(SHOP)
    made = [site.link("v1"), *site.link("v1").parents[:2], site.storage.revision(SHOP, ONE.digest)]
    assert {(place.stat().st_uid, place.stat().st_gid) for place in made} == {(1234, 2345)}
    assert [oct(place.stat().st_mode & 0o777) for place in made] == ["0o664", "0o775", "0o775", "0o664"]


def test_a_repository_in_which_nothing_was_ever_tagged_is_no_exception(site: DiskSite) -> None:
    site.registry.push("only/digests", None, ONE)
    assert not site.storage.holds_tags("only/digests")
    batch = site.deletion.open("only/digests")
    assert batch.delete(ONE.digest, ())
    batch.close()
    assert site.registry.manifests("only/digests") == {}
    assert ONE.digest in site.registry.manifests(SHOP)
