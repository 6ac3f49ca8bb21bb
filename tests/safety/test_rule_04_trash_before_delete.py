"""Safety rule 4: every deletion can be undone until the next collection, as the trash is written before the DELETE."""

from typing import Any

import pytest

from service.clock import now_ms
from service.domain.collection.run import Run
from service.domain.errors import NotRestorable, TrashUnwritable
from service.prune.batch import Batch
from service.store.trash import TrashedManifest
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.support.deletions import ago, live, pruned
from tests.support.system import SHOP, Make


def test_every_manifest_is_in_the_trash_before_its_delete_is_sent(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    digest = system.registry.tags("shop/api")["v1"]
    content = system.registry.manifests("shop/api")[digest].content
    kept: list[TrashedManifest | None] = []
    system.registry.before("DELETE", "", lambda: kept.append(system.store.trash.get("shop/api", digest)))
    system.push("v2")
    system.settle()
    assert [entry.content for entry in kept if entry] == [content]


@pytest.mark.slow
def test_nothing_is_deleted_while_redis_has_no_room_for_the_trash_and_pushes_are_still_recorded(
    make_system: Make,
) -> None:
    """Manifests of 4 MiB that a user pushes and the policy deletes must not use up the memory of Redis."""
    system = make_system(keep_last(1))
    client: Any = system.store.connection.client
    filler = system.store.connection.keys.of("trash", "filler")
    system.push("v1")
    client.setrange(filler, 50_000_000, "x")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.95))
    try:
        system.push("v2")
        with pytest.raises(TrashUnwritable, match="more than 90% of the memory of Redis"):
            system.settle()
        assert system.tags() == {"v1", "v2"}
        assert {tag.name for tag in system.store.history.live(SHOP)} == {"v1", "v2"}
    finally:
        client.config_set("maxmemory", 0)
        client.delete(filler)
    system.later()
    assert system.tags() == {"v2"}


@pytest.mark.slow
def test_a_deletion_that_was_interrupted_ends_although_redis_is_full_by_now(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest is in the trash already, and needs no more memory."""
    system = make_system(keep_last(1))
    client: Any = system.store.connection.client

    def die(*_: object) -> bool:
        raise KeyboardInterrupt

    system.push("v1")
    system.push("v2")
    with monkeypatch.context() as patch:
        patch.setattr(Batch, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            system.settle()
    filler = system.store.connection.keys.of("trash", "filler")
    client.setrange(filler, 50_000_000, "x")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.95))
    try:
        system.later()
        assert system.tags() == {"v2"}
    finally:
        client.config_set("maxmemory", 0)
        client.delete(filler)


both = pytest.mark.parametrize("version", ["2.8", "3"])


@pytest.mark.slow
@both
def test_an_image_is_restored_with_the_time_and_the_user_of_its_push(make_system: Make, version: str) -> None:
    system = pruned(make_system, version=version)
    (deleted,) = system.wiring.restore.deleted(SHOP)
    undone = system.wiring.restore.restore(SHOP, tag="v1", by="alice")
    assert (undone.tags, undone.digest) == (("v1",), make_image("one").digest)
    assert system.pull_whole("v1") == make_image("one").digest
    back = live(system, "v1")
    assert back is not None
    assert abs((back.pushed_us or 0) / 1e6 - ago(1).timestamp()) < 60
    assert (deleted.tag, deleted.pushed_us, deleted.reason) == (
        "v1",
        back.pushed_us,
        "older than the newest (rule last)",
    )
    entry = next(entry for entry in system.store.history.entries(SHOP) if entry.action == "restored")
    assert (entry.tag, entry.actor) == ("v1", "alice")
    assert system.wiring.restore.deleted(SHOP) == ()


@pytest.mark.slow
def test_a_restore_after_a_collection_is_refused_with_that_reason(make_system: Make) -> None:
    system = pruned(make_system)
    system.store.trash.collected()
    system.store.collection_runs.record(Run(now_ms(), now_ms(), "done", "requested manually"))
    with pytest.raises(
        NotRestorable, match=r"shop/api:v1 cannot be restored: a garbage collection since .* push it again"
    ):
        system.wiring.restore.restore(SHOP, tag="v1")
    with pytest.raises(NotRestorable, match="is not in the trash"):
        system.wiring.restore.restore(SHOP, digest=make_image("one").digest)
