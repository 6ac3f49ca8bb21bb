"""A sweep needs a mark on every existing manifest: tagged or not, parts, referrers, and unreported ones."""

from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

from service.collect import marks
from service.collect import run as collect_run
from service.domain.errors import CollectionFailed
from service.store.history import History
from tests.conftest import keep_last
from tests.fakes.images import make_image, make_index
from tests.fakes.pusher import Pusher
from tests.support.collectors import collector
from tests.support.storage import Disk
from tests.support.system import SHOP, Make, System

pytestmark = pytest.mark.slow


SPEAKS = """
    for line in open(folder / "out"): print(line, end="")
    (folder / ("dry" if dry else "swept")).touch()
"""


def collect(system: System, folder: Path, marked: Iterable[str], repository: str = SHOP) -> str:
    """Return the message of a collection that marks these; "" if it was made."""
    lines = [f"{repository}: marking manifest {digest} \n" for digest in marked]
    (folder / "out").write_text("".join(lines))
    system.store.collections.request_if_none("scheduled")
    collect_run.collect(system.wiring)
    (run, *_) = system.store.collection_runs.latest()
    assert (folder / "swept").exists() == (run.result == "done")
    assert run.result in ("done", "failed")
    return run.message


def system_of(make_system: Make, folder: Path, **settings: object) -> System:
    return make_system(keep_last(5), fake={"references": True}, gc=collector(folder, SPEAKS), **settings)


def test_a_part_of_an_existing_index_must_be_marked(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    index = make_index("v1")
    system.registry.push(SHOP, "v1", index)
    system.settle()
    every = [index.digest, *(child.digest for child in index.children)]
    assert f"did not mark {SHOP}@{every[2]}, which still exists" in collect(system, tmp_path, every[:2])
    assert collect(system, tmp_path, every) == ""


def test_a_referrer_must_be_marked_and_so_must_what_it_is_about(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    image = make_image("v1")
    signature = make_image("signature", subject=image)
    digests = [
        system.registry.push(SHOP, "v1", image),
        system.registry.push(SHOP, f"sha256-{image.digest.partition(':')[2]}.sig", signature),
    ]
    system.settle()
    assert "did not mark" in collect(system, tmp_path, digests[:1])
    assert "did not mark shop/api:v1" in collect(system, tmp_path, digests[1:])
    assert collect(system, tmp_path, digests) == ""


def test_an_entry_in_redis_that_cannot_be_read_fails_the_collection_with_a_trouble(
    make_system: Make, tmp_path: Path
) -> None:
    """Without a trouble and a wait, the sweep would ask for another dry run every two seconds."""
    system = system_of(make_system, tmp_path)
    digest = system.registry.push(SHOP, "v1", make_image("v1"))
    system.settle()
    system.store.connection.redis.hset(system.store.connection.keys.of("live", SHOP), "v1", "damaged")
    assert f"the entry of {SHOP}:v1 in Redis cannot be read" in collect(system, tmp_path, [digest])
    assert "garbage" in {trouble.about for trouble in system.store.outbox.troubles()}
    assert not system.store.collections.overdue()


def test_a_manifest_that_lost_its_tag_and_is_kept_must_be_marked(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    before = system.registry.push_image(SHOP, "main", seed="before")
    never = system.registry.push_image(SHOP, None, seed="never")
    now = system.registry.push_image(SHOP, "main", seed="now")  # with a tag its push is over
    system.settle()
    assert f"{SHOP}@{before}" in collect(system, tmp_path, [now, never])
    assert f"{SHOP}@{never}" in collect(system, tmp_path, [now, before])
    assert collect(system, tmp_path, [now, before, never]) == ""


def test_a_deleted_manifest_need_not_be_marked(make_system: Make, tmp_path: Path) -> None:
    system = make_system(keep_last(1), gc=collector(tmp_path, SPEAKS))
    system.push("v1", "v2")
    system.settle()
    assert collect(system, tmp_path, [system.registry.tags(SHOP)["v2"]]) == ""


def test_an_image_that_was_deleted_without_an_event_need_not_be_marked(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    system.push("v1", "v2")
    system.deaf = True
    with Pusher(system.registry.url) as user:
        assert user.delete(SHOP, system.registry.tags(SHOP)["v1"]) == 202
    assert collect(system, tmp_path, [system.registry.tags(SHOP)["v2"]]) == ""


def test_an_unreported_repository_of_which_nothing_was_marked_must_have_no_tag(
    make_system: Make, tmp_path: Path
) -> None:
    system = system_of(make_system, tmp_path)
    system.deaf = True
    digest = system.registry.push_image("shop/unheard", "v1")
    assert "did not mark shop/unheard:v1" in collect(system, tmp_path, [])
    assert collect(system, tmp_path, [digest], "shop/unheard") == ""


def test_a_catalog_that_we_may_not_see_is_no_obstacle(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    system.registry.fail_next("GET", "_catalog", status=403, times=None)
    assert collect(system, tmp_path, []) == ""


def test_the_storage_if_mounted_says_which_manifests_exist(make_system: Make, tmp_path: Path) -> None:
    """A repository, and manifests without a tag, are covered too, although no event reported them."""
    disk, digest = Disk(tmp_path / "storage"), "sha256:" + "a" * 64
    disk.blob(digest)
    disk.manifest("shop/unheard", digest)
    system = system_of(make_system, tmp_path, storage={"path": disk.root})
    assert f"did not mark shop/unheard@{digest}" in collect(system, tmp_path, [])
    assert collect(system, tmp_path, [digest], "shop/unheard") == ""


def test_behind_the_gate_only_repositories_that_changed_since_are_read_again(make_system: Make, tmp_path: Path) -> None:
    """With 500,000 repositories, the comparison would take minutes, and clients wait for it."""
    system = system_of(make_system, tmp_path)
    system.push("v1")
    system.push("v1", repository="shop/web")
    store, registry = system.store, system.wiring.registry
    marked = {(name, digest) for name in (SHOP, "shop/web") for digest in system.registry.manifests(name)}
    before = marks.refuse_unmarked(store, registry, marked)
    system.push("v2")
    with (
        mock.patch.object(History, "snapshot", autospec=True, side_effect=History.snapshot) as snapshot,
        pytest.raises(CollectionFailed, match=f"did not mark {SHOP}:v2"),
    ):
        marks.refuse_unmarked(store, registry, marked, before)
    assert [call.args[1] for call in snapshot.call_args_list] == [SHOP]


def test_a_manifest_that_was_absent_when_compared_is_looked_up_again(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    system.push("v1")
    system.deaf = True
    digest = system.registry.tags(SHOP)["v1"]
    Pusher(system.registry.url).delete(SHOP, digest)
    store, registry = system.store, system.wiring.registry
    before = marks.refuse_unmarked(store, registry, ())
    system.push("v1")
    with pytest.raises(CollectionFailed, match="did not mark"):
        marks.refuse_unmarked(store, registry, {(SHOP, "another")}, before)
