"""Leftovers: abandoned uploads, dangling tags, unused links and empty repositories.

Online collections report them, and with `gc.leftovers: delete` delete them while clients push.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore

from service.collect import run as collect_run
from service.domain.collection.gate import WriteRequest
from service.registry.layout import blob_key, current_key, index_key, layer_key, tags_key, upload_key
from tests.conftest import MakeWiring
from tests.fakes.images import image_over, sha256
from tests.support.online import ANN, SHOP, YOUTH_S, OnlineSite, ended, make_site

WEEK_S = 7 * 86_400
SHARED, OWN = b"a layer that two repositories share", b"a layer of one"
KEPT, DELETED = image_over([SHARED], 1), image_over([SHARED, OWN], 2)
LAYER = sha256(SHARED)
OLD_TAG = "main"


@pytest.fixture
def deleting(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> OnlineSite:
    """A site that deletes leftovers. The registry lists the tags of its bucket."""

    def tags(repository: str) -> list[str]:
        keys = [stored.key for stored in site.plain.list(f"docker/registry/v2/repositories/{repository}")]
        return [key.split("/tags/")[1].split("/")[0] for key in keys if key.endswith("current/link")]

    monkeypatch.setattr(site.client, "tags", tags, raising=False)
    return set_to_delete(site)


def set_to_delete(site: OnlineSite) -> OnlineSite:
    gc = site.wiring.settings.gc.model_copy(update={"leftovers": "delete"})
    site.wiring = replace(site.wiring, settings=site.wiring.settings.model_copy(update={"gc": gc}))
    return site


def at_first(site: OnlineSite, action: str, do: Callable[[], object]) -> None:
    """Do something once, before the first step of this kind of the next collection."""
    pending = [do]

    def step(name: str, keys: tuple[str, ...]) -> None:
        if name == action and pending:
            pending.pop()()

    site.objects.before_step = step


def begin_upload(site: OnlineSite, id: str = "1-2") -> str:
    folder = upload_key(SHOP, id)
    site.plain.write(f"{folder}/startedat", b"2026-11-01T00:00:00Z")
    site.plain.write(f"{folder}/data", b"half of a layer")
    return folder


def found(site: OnlineSite) -> set[tuple[str, str, int]]:
    garbage = site.store.garbage.last()
    assert garbage is not None
    return {(str(left.kind), left.repository, left.count) for left in garbage.leftovers}


UPLOAD, TAG, LINK = ("abandoned upload", SHOP, 1), ("dangling tag", SHOP, 1), ("unused layer link", "other", 1)


def leave_everything(site: OnlineSite) -> None:
    """An upload, a tag without its manifest, and a link of a deleted image to a layer that another image needs."""
    site.registry.push(SHOP, "v1", KEPT)
    site.registry.push("other", "v1", DELETED)
    site.registry.delete("other", DELETED.digest)
    site.plain.delete([current_key("other", "v1"), index_key("other", "v1", DELETED.digest)])
    for key in (index_key(SHOP, OLD_TAG, DELETED.digest), current_key(SHOP, OLD_TAG)):
        site.plain.write(key, DELETED.digest.encode())
    begin_upload(site)


def test_leftovers_are_reported_and_kept(site: OnlineSite) -> None:
    leave_everything(site)
    before = {stored.key for stored in site.plain.list("docker") if "_uploads" in stored.key or "/tags/" in stored.key}
    run = site.collect_after(WEEK_S + 1)
    assert found(site) == {UPLOAD, TAG, LINK}
    assert "leftovers were deleted" not in run.note
    assert before <= {stored.key for stored in site.plain.list("docker")}
    assert site.links(LAYER) == {SHOP, "other"}


def test_a_link_that_may_belong_to_a_push_is_no_leftover(site: OnlineSite) -> None:
    leave_everything(site)
    site.collect_after(YOUTH_S - 60)
    assert LINK not in found(site)
    site.collect_after(61)
    assert LINK in found(site)


def test_a_dry_run_reports_the_leftovers(site: OnlineSite) -> None:
    leave_everything(site)
    site.later(WEEK_S + 1)
    site.store.collections.request_rehearsal("a dry run")
    collect_run.collect(site.wiring)
    (run,) = site.store.collection_runs.latest(1)
    assert (
        "(set gc.leftovers: delete to delete them): 1 abandoned upload, 1 dangling tag, 1 unused layer link" in run.note
    )
    assert found(site) == {UPLOAD, TAG, LINK}


def test_leftovers_are_deleted_if_that_is_set(deleting: OnlineSite) -> None:
    leave_everything(deleting)
    run = deleting.collect_after(WEEK_S + 1)
    assert "leftovers were deleted: 1 abandoned upload, 1 dangling tag, 1 unused layer link" in run.note
    assert found(deleting) == set()
    assert not [each for each in deleting.plain.list("docker") if "_uploads" in each.key or OLD_TAG in each.key]
    assert deleting.links(LAYER) == {SHOP}
    # What another image needs is no garbage.
    assert run.unlinked == len(DELETED.blobs)
    assert deleting.registry.broken() == ()
    for _ in range(3):
        deleting.collect_after(WEEK_S)
    assert deleting.has(LAYER)
    assert deleting.registry.broken() == ()


@pytest.mark.parametrize("names", [("current",), ("current", "index")])
def test_a_tag_that_the_bucket_did_not_delete_is_not_reported_as_deleted(
    deleting: OnlineSite, names: tuple[str, ...]
) -> None:
    leave_everything(deleting)
    for key in (index_key(SHOP, "second", DELETED.digest), current_key(SHOP, "second")):
        deleting.plain.write(key, DELETED.digest.encode())
    deleting.objects.failing = lambda key: f"/tags/{OLD_TAG}/" in key and any(f"/{name}/" in key for name in names)
    run = deleting.collect_after(WEEK_S + 1)
    assert "leftovers were deleted: 1 abandoned upload, 1 dangling tag, 1 unused layer link" in run.note
    assert found(deleting) == {TAG}
    deleting.objects.failing = lambda key: False
    assert "leftovers were deleted: 1 dangling tag" in deleting.collect_after(60).note
    assert found(deleting) == set()


def test_an_upload_is_abandoned_only_after_its_last_write(deleting: OnlineSite) -> None:
    folder = begin_upload(deleting)
    assert "leftovers" not in deleting.collect_after(WEEK_S - 60).note
    assert found(deleting) == set()
    assert deleting.plain.head(f"{folder}/data")
    deleting.collect_after(61)
    assert not deleting.plain.head(f"{folder}/startedat")


def test_an_upload_that_continues_after_the_inventory_is_kept(
    deleting: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was silent for a week, and sends the next part right before the deletion."""
    folder = begin_upload(deleting)
    deleting.later(WEEK_S + 60)

    real = deleting.objects.list
    fresh_us = deleting.objects.now_us()

    def listed(prefix: str = "", after: str = "") -> object:
        for stored in real(prefix, after):
            yield stored._replace(modified_us=fresh_us) if prefix == folder else stored

    monkeypatch.setattr(deleting.objects, "list", listed)
    assert "leftovers" not in deleting.collect().note
    assert deleting.plain.head(f"{folder}/data")


@pytest.mark.parametrize("begins", ["before", "during"])
def test_a_link_that_a_push_relies_on_is_kept(deleting: OnlineSite, begins: str) -> None:
    """The blob is in use elsewhere, so only the link of this repository would be deleted."""
    leave_everything(deleting)
    deleting.later(WEEK_S)
    again = image_over([SHARED], 3)
    client, (config, _) = deleting.pushing("other", "again", again), again.blobs

    def ask() -> None:
        """Go on until the registry has answered that the layer exists."""
        while not deleting.registry.head("other", sha256(config)):
            next(client)
        next(client)

    if begins == "before":
        ask()
    else:
        at_first(deleting, "claim", ask)
    run = deleting.collect()
    assert "other" in deleting.links(LAYER)
    assert "written again" not in run.note
    assert ended(client)
    assert deleting.registry.broken() == ()
    deleting.collect_after(1000)
    assert deleting.registry.broken() == ()


def test_a_link_that_a_manifest_met_at_its_end_is_written_again(deleting: OnlineSite) -> None:
    """A blind PUT read the link right before it was deleted, and ends while the collection runs."""
    late_image = image_over([SHARED], 7)
    leave_everything(deleting)
    for blob in late_image.blobs:
        deleting.registry.upload("other", blob)
    deleting.later(WEEK_S)
    late = deleting.blind("other", "late", late_image)
    for _ in range(len(late_image.blobs) + 2):
        next(late)
    done: list[bool] = []

    def end(action: str, keys: tuple[str, ...]) -> None:
        if not done and layer_key("other", LAYER) in keys and "other" not in deleting.links(LAYER):
            done.append(ended(late))

    deleting.objects.after_step = end
    run = deleting.collect()
    assert done == [True]
    assert "links were written again" in run.note
    assert deleting.registry.broken() == ()


def test_a_manifest_that_comes_late_gets_the_link_again_also_after_another_collection(deleting: OnlineSite) -> None:
    """A blind PUT read the link right before it was deleted, and takes as long as a request may."""
    leave_everything(deleting)
    deleting.registry.upload("other", OWN)
    late_image = image_over([SHARED], 7)
    for blob in late_image.blobs:
        deleting.registry.upload("other", blob)
    deleting.later(WEEK_S)
    late = deleting.blind("other", "late", late_image)
    for _ in range(len(late_image.blobs) + 2):
        next(late)
    deleting.collect()
    assert deleting.links(LAYER) == {SHOP}
    deleting.collect_after(60)
    assert ended(late)
    assert deleting.registry.broken()
    deleting.collect_after(60)
    assert deleting.registry.broken() == ()


def test_a_link_to_data_that_the_registrys_collector_deleted_is_deleted(deleting: OnlineSite) -> None:
    """Distribution 2.8 leaves every link."""
    deleting.registry.push(SHOP, "v1", KEPT)
    deleting.registry.upload(SHOP, OWN)
    deleting.plain.delete([blob_key(sha256(OWN))])
    run = deleting.collect_after(WEEK_S)
    assert (run.result, run.unlinked) == ("done", 0)
    assert deleting.links(sha256(OWN)) == frozenset()
    assert deleting.registry.broken() == ()


class OnDisk:
    """A repository of which a filesystem has only the folders."""

    def __init__(self, site: OnlineSite, root: Path) -> None:
        self.site, self.folder = site, root / "docker/registry/v2/repositories/team/gone"
        for name in ("_manifests/tags/v1/current", "_manifests/revisions/sha256", "_layers/sha256", "_uploads"):
            (self.folder / name).mkdir(parents=True)

    def age(self) -> None:
        """Let its last change be long ago by the clock of the files, which the test does not move."""
        for folder, _, _ in os.walk(self.folder):
            os.utime(folder, (0, 0))


@pytest.fixture
def emptied(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    root = tmp_path / "storage"
    monkeypatch.setattr("tests.support.online.MemoryStore", lambda: LocalStore(root, mkdir=True))
    site = make_site(make_wiring, tmp_path, monkeypatch)
    site.objects.renames = True
    site.registry.push(SHOP, "v1", KEPT)
    site.later(YOUTH_S + 1)
    on_disk = OnDisk(site, root)
    on_disk.age()
    return on_disk


EMPTIED = {("emptied repository", "team/gone", 1)}


def test_an_emptied_repository_is_reported_and_its_folders_are_removed_if_that_is_set(emptied: OnDisk) -> None:
    emptied.site.collect()
    assert found(emptied.site) == EMPTIED
    assert emptied.folder.exists()
    run = set_to_delete(emptied.site).collect()
    assert "leftovers were deleted: 1 emptied repository" in run.note
    assert list(emptied.folder.iterdir()) == []
    assert emptied.site.store.gate.state() is None
    assert emptied.site.registry.broken() == ()


def test_a_repository_that_a_push_reported_is_not_removed(emptied: OnDisk) -> None:
    """The first request of the push may have been admitted, and not have written yet."""
    set_to_delete(emptied.site)
    emptied.site.store.gate.admit(WriteRequest("begins", "team/gone"), ANN)
    emptied.site.collect()
    assert (emptied.folder / "_layers").exists()


def test_a_push_to_a_repository_waits_while_its_folders_are_removed(
    emptied: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted: list[bool] = []

    def remove(root: Path, name: str) -> bool:
        gate, names = emptied.site.store.gate, ("team/gone", "team/gone2", SHOP)
        admitted.extend(gate.admit(WriteRequest("begins", repository), ANN).passes for repository in names)
        return True

    monkeypatch.setattr("service.collect.online.leftovers.remove_repository", remove)
    set_to_delete(emptied.site).collect()
    assert admitted == [False, True, True]
    assert emptied.site.store.gate.admit(WriteRequest("begins", "team/gone"), ANN).passes


def test_a_repository_to_which_a_request_passed_without_redis_is_not_removed(
    emptied: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate process notes the request once it reaches Redis again, before it knows of the claims."""
    gate, request = emptied.site.store.gate, WriteRequest("begins", "team/gone")

    def unaware(token: str) -> tuple[str, ...]:
        gate.admit(request, ANN, passed=True)
        return ()

    monkeypatch.setattr(gate, "unaware", unaware)
    set_to_delete(emptied.site).collect()
    assert (emptied.folder / "_layers").exists()


def test_no_folder_is_removed_until_each_gate_process_knows_that_repositories_are_claimed(
    emptied: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.collect.online.claiming._AWARE_S", 0.05)
    monkeypatch.setattr(emptied.site.store.gate, "unaware", lambda token: ("web:2",))
    assert set_to_delete(emptied.site).collect().result == "postponed"
    assert (emptied.folder / "_layers").exists()


def write_a_file(emptied: OnDisk) -> None:
    (emptied.folder / "_uploads/file").write_text("x")


def link_to_another_volume(emptied: OnDisk) -> None:
    (emptied.folder / "_layers/sha256").rmdir()
    (emptied.folder / "_layers/sha256").symlink_to("/usr/share/doc/bash")
    os.utime(emptied.folder / "_layers", (0, 0))


def change(emptied: OnDisk) -> None:
    os.utime(emptied.folder / "_layers")
    emptied.site.objects.skew_us = 0


@pytest.mark.parametrize("fill", [write_a_file, link_to_another_volume, change])
def test_a_repository_with_anything_in_it_is_not_emptied(emptied: OnDisk, fill: Callable[[OnDisk], None]) -> None:
    fill(emptied)
    before = set(emptied.folder.rglob("*"))
    set_to_delete(emptied.site).collect()
    assert found(emptied.site) == set()
    assert set(emptied.folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["_stray", "Foo/_layers"])
def test_folders_that_no_registry_created_are_kept(emptied: OnDisk, name: str) -> None:
    folder = emptied.folder.parents[1] / name
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    run = set_to_delete(emptied.site).collect()
    assert (run.result, run.message) == ("done", "")
    assert folder.exists()
    assert not (emptied.folder / "_layers").exists()


def test_an_upload_or_tag_of_a_name_that_is_no_repositorys_is_kept(deleting: OnlineSite) -> None:
    names = ("_uploads/1/startedat", f"_manifests/tags/v1/index/{DELETED.digest.replace(':', '/')}/link")
    keys = [f"docker/registry/v2/repositories/Foo/{name}" for name in (*names, "_manifests/tags/v1/current/link")]
    for key in keys:
        deleting.plain.write(key, DELETED.digest.encode())
    begin_upload(deleting)
    run = deleting.collect_after(WEEK_S + 1)
    assert (run.result, run.message) == ("done", "")
    assert found(deleting) == set()
    assert all(deleting.plain.head(key) for key in keys)


@pytest.mark.parametrize("links", [("current",), (f"index/{DELETED.digest.replace(':', '/')}",)])
def test_a_dangling_tag_of_a_name_that_is_no_tags_is_kept(deleting: OnlineSite, links: tuple[str, ...]) -> None:
    leave_everything(deleting)
    folder = f"{tags_key(SHOP)}/-no:tag"
    for link in links:
        deleting.plain.write(f"{folder}/{link}/link", DELETED.digest.encode())
    run = deleting.collect_after(WEEK_S + 1)
    assert (run.result, run.message) == ("done", "")
    assert "1 dangling tag," in run.note
    assert list(deleting.plain.list(folder))


def test_folders_of_a_repository_below_are_kept(emptied: OnDisk) -> None:
    (emptied.folder / "sub/_layers").mkdir(parents=True)
    (emptied.folder / "sub/_layers/file").write_text("x")
    set_to_delete(emptied.site).collect()
    assert not (emptied.folder / "_layers").exists()
    assert (emptied.folder / "sub/_layers/file").exists()


def test_a_worker_that_is_killed_at_any_step_leaves_nothing_that_is_broken(deleting: OnlineSite) -> None:
    leave_everything(deleting)
    # The journal exists.
    deleting.collect()
    deleting.later(WEEK_S)
    at = 0
    while deleting.killed(at):
        at += 1
        deleting.recover()
        assert deleting.registry.broken() == ()
        assert deleting.has(LAYER)
    assert at > 10
    # The longest request may have met the end of a link, so the journal forgets it later.
    for _ in range(3):
        deleting.collect_after(WEEK_S)
    assert found(deleting) == set()
    assert deleting.store.claims.journal() == {}
    assert deleting.registry.broken() == ()
