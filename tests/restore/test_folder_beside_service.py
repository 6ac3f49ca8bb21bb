"""A restore from a folder beside a running service is recorded there: it is no push, and pushes no tag out."""

from pathlib import Path

import pytest

from service.domain.errors import NotRestorable
from service.restore.from_folder import Outcome, RestoreFolder
from service.restore.record import RestoreRecord
from service.restore.trash_folder import TrashFolder
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.support.system import SHOP, Make, System


def deleted(make_system: Make, folder: Path) -> System:
    """v1, an index, and v2 were deleted; v3 and v4 are kept."""
    system = make_system(keep_last(2), history={"trash_dir": str(folder)}, reconcile={"late": 0})
    system.registry.push(SHOP, "v1", index_over([make_image("part")]))
    system.push("v2", "v3", "v4")
    system.settle()
    assert system.tags() == {"v3", "v4"}
    return system


def restorer(system: System, folder: Path) -> RestoreFolder:
    record = RestoreRecord(system.wiring.store, "alice")
    return RestoreFolder(TrashFolder(folder), system.wiring.registry.client, force=False, record=record)


def test_a_restored_tag_pushes_no_other_tag_out(make_system: Make, tmp_path: Path) -> None:
    system = deleted(make_system, tmp_path)
    results = list(restorer(system, tmp_path).restore())
    assert {(result.tag, result.outcome) for result in results if result.tag} == {
        ("v1", Outcome.RESTORED), ("v2", Outcome.RESTORED),
    }  # fmt: skip
    system.settle()
    system.later()
    assert system.tags() == {"v1", "v2", "v3", "v4"}
    assert make_image("part").digest in system.registry.manifests(SHOP)
    assert system.wiring.store.deletions.is_restored(SHOP, "v1"), "a late report of its deletion is not believed"
    restored = [entry for entry in system.wiring.store.history.entries(SHOP) if entry.action == "restored"]
    assert {(entry.tag, entry.actor) for entry in restored if entry.tag} == {("v1", "alice"), ("v2", "alice")}


def test_the_next_push_pushes_out_what_it_would_have_without_the_restore(make_system: Make, tmp_path: Path) -> None:
    system = deleted(make_system, tmp_path)
    list(restorer(system, tmp_path).restore())
    system.push("v5")
    system.settle()
    system.later()
    assert system.tags() == {"v1", "v2", "v4", "v5"}


def test_nothing_is_restored_while_a_collection_runs(make_system: Make, tmp_path: Path) -> None:
    system = deleted(make_system, tmp_path)
    with system.wiring.store.leases.hold("collect") as lease:
        assert lease
        with pytest.raises(NotRestorable, match="a garbage collection is running"):
            list(restorer(system, tmp_path).restore())
    assert system.tags() == {"v3", "v4"}
