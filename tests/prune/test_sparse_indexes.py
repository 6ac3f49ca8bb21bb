"""An index whose parts are partly absent (Distribution 3: validation.manifests.indexes.platforms) is no alarm."""

import threading
from pathlib import Path

import pytest

from service.collect import run as collect_run
from service.domain.errors import NotRestorable
from tests.conftest import keep_last
from tests.fakes.images import Image, make_index
from tests.fakes.registry import FakeRegistry
from tests.support.collectors import collector
from tests.support.system import SHOP, Make, System
from tests.support.waiting import until

INDEX = make_index("sparse", platforms=3)
PRESENT, *ABSENT = INDEX.children
SPARSE = {"sparse_indexes": True, "references": True}


def push(registry: FakeRegistry, tag: str = "v1") -> None:
    """One platform of three, then the index over all of them."""
    registry.push(SHOP, None, PRESENT)
    registry.push(SHOP, tag, Image(INDEX.media_type, INDEX.manifest))


def parts(system: System) -> set[str]:
    return {image.digest for image in (INDEX, *INDEX.children)} & system.registry.manifests(SHOP).keys()


def test_a_sparse_index_is_kept_with_the_part_that_it_has_without_an_alarm(make_system: Make) -> None:
    system = make_system(keep_last(2), "3.1.1", SPARSE)
    system.push("v0")
    push(system.registry)
    system.push("v2", "v3")
    system.registry.push(SHOP, "v4", Image(INDEX.media_type, INDEX.manifest))
    system.settle()
    system.later()
    assert system.tags() == {"v1", "v3", "v4"}, "v1 and v4 are one image"
    assert parts(system) == {INDEX.digest, PRESENT.digest}
    assert system.store.outbox.troubles() == ()


def test_a_sparse_index_is_deleted_and_restored_with_its_part(make_system: Make) -> None:
    system = make_system(keep_last(1), "3.1.1", SPARSE)
    push(system.registry)
    system.push("v2")
    system.settle()
    system.later()
    assert parts(system) == set()
    assert system.store.outbox.troubles() == ()
    deleted = {entry.digest for entry in system.store.history.entries(SHOP) if entry.action == "pruned"}
    assert deleted == {INDEX.digest, PRESENT.digest}
    undone = system.wiring.restore.restore(SHOP, tag="v1")
    assert (undone.tags, undone.parts) == (("v1",), 1)
    assert parts(system) == {INDEX.digest, PRESENT.digest}
    assert system.registry.tags(SHOP)["v1"] == INDEX.digest


def test_a_sparse_index_that_the_registry_no_longer_accepts_is_refused_in_one_sentence(
    make_system: Make,
) -> None:
    system = make_system(keep_last(1), "3.1.1", SPARSE)
    push(system.registry)
    system.push("v2")
    system.settle()
    system.later()
    system.registry.storage.sparse_indexes = False
    with pytest.raises(NotRestorable, match="MANIFEST_BLOB_UNKNOWN"):
        system.wiring.restore.restore(SHOP, tag="v1")


def test_a_part_that_existed_must_be_restorable(make_system: Make) -> None:
    system = make_system(keep_last(1), "3.1.1", {"references": True})
    system.registry.push(SHOP, "v1", INDEX)
    system.push("v2")
    system.settle()
    system.later()
    client = system.store.connection.client
    assert client.hdel(system.store.connection.keys.of("trash", SHOP), ABSENT[0].digest)
    with pytest.raises(NotRestorable, match="is neither in the registry nor in the trash"):
        system.wiring.restore.restore(SHOP, tag="v1")
    assert parts(system) == set()


def test_a_delete_that_takes_it_along_is_healed(make_system: Make) -> None:
    system = make_system(keep_last(1), "3.1.1", SPARSE)
    system.push("v1", "v2")
    system.registry.during_delete(lambda: push(system.registry))
    system.settle()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == INDEX.digest
    assert parts(system) == {INDEX.digest, PRESENT.digest}
    assert system.store.outbox.troubles() == ()


@pytest.mark.parametrize(("lost", "alarms"), [((), 0), ((PRESENT.digest,), 1)])
def test_pushed_during_a_collection_it_is_an_alarm_only_if_a_part_was_lost(
    make_system: Make, tmp_path: Path, lost: tuple[str, ...], alarms: int
) -> None:
    body = "if not dry:\n    (folder / 'sweeps').touch()\n    time.sleep(600)\n"
    system = make_system(keep_last(5), "3.1.1", SPARSE, gc=collector(tmp_path, body))
    system.store.collections.request_if_none("scheduled")
    thread = threading.Thread(target=collect_run.collect, args=(system.wiring,))
    thread.start()
    until(lambda: (tmp_path / "sweeps").exists())
    system.deaf = True
    push(system.registry)
    for digest in lost:
        del system.registry.storage.repositories[SHOP].manifests[digest]
    system.hear_late()
    thread.join(240)
    assert not thread.is_alive()
    # The part itself is no loss: no tag points at it.
    assert [trouble.about for trouble in system.store.outbox.troubles()] == ["broken shop/api:v1"] * alarms
