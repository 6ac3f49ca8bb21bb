"""A registry on an empty, unmounted or another storage takes no tag out of the history."""

import pytest

from service.domain.errors import RegistryRefused
from service.reconcile import compare, emptied
from service.reconcile import run as reconcile_run
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, System

NAMES = ("v1", "v2", "v3")


def known(system: System, repository: str = SHOP) -> set[str]:
    return {tag.name for tag in system.store.history.live(repository)}


@pytest.fixture
def system(make_system: Make) -> System:
    """The tags were compared, and the policy keeps all of them."""
    system = make_system(keep_last(9))
    system.push(*NAMES)
    look(system)
    return system


def look(system: System, repository: str = SHOP) -> None:
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(repository))


def delete_unheard(system: System, *tags: str, repository: str = SHOP) -> None:
    """Delete tags from the storage without an event."""
    for tag in tags:
        system.registry.storage.delete_manifest(repository, system.registry.tags(repository)[tag], lambda: None)


def restart(system: System) -> None:
    """The registry restarts; its first event tells of it."""
    system.registry.notifier.instance = f"{system.registry.notifier.instance}-again"


def test_a_push_into_an_empty_storage_removes_no_known_tag_from_the_history(system: System) -> None:
    delete_unheard(system, *NAMES)
    restart(system)
    system.push("v4")
    with pytest.raises(RegistryRefused, match=r"shop/api are missing at the registry \(3 of 4\)"):
        look(system)
    assert known(system) == {*NAMES, "v4"}
    assert not system.store.history.snapshot(SHOP).compared, "so that nothing is deleted"


def test_nothing_is_deleted_on_account_of_it(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2")
    look(system)
    delete_unheard(system, "v1", "v2")
    restart(system)
    system.push("v3", "v4", "v5")
    system.work()
    system.later()
    assert system.tags() == {"v3", "v4", "v5"}
    assert "pushprune reconcile shop/api" in " ".join(trouble.message for trouble in system.store.outbox.troubles())


def test_an_older_tag_that_is_still_there_proves_the_storage(system: System) -> None:
    delete_unheard(system, "v2", "v3")
    restart(system)
    system.push("v4")
    look(system)
    assert known(system) == {"v1", "v4"}


def test_an_older_tag_of_another_repository_proves_it_as_well(make_system: Make) -> None:
    system = make_system(keep_last(9))
    system.push("v1", repository="shop/web")
    system.push(*NAMES)
    look(system)
    delete_unheard(system, *NAMES)
    restart(system)
    system.push("v4")
    look(system)
    assert known(system) == {"v4"}


def test_a_storage_that_is_unmounted_while_the_registry_runs_takes_no_tag_out_of_the_history(system: System) -> None:
    delete_unheard(system, *NAMES)
    system.push("v4")
    with pytest.raises(RegistryRefused, match=r"shop/api are missing at the registry \(3 of 4\)"):
        look(system)
    assert known(system) == {*NAMES, "v4"}


def test_a_tag_that_the_last_comparison_found_beside_the_missing_ones_proves_the_storage(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptied, "_SKEW_US", 0)
    delete_unheard(system, "v1")
    look(system)
    assert known(system) == {"v2", "v3"}


def test_a_user_who_names_the_repository_says_that_its_tags_are_really_gone(make_system: Make) -> None:
    system = make_system(keep_last(9), reconcile={"rate": 100_000})
    system.push(*NAMES)
    look(system)
    delete_unheard(system, *NAMES)
    restart(system)
    system.push("v4")
    system.store.reconcile_runs.request_repositories([SHOP], "requested manually")
    reconcile_run.continue_run(system.wiring)
    assert known(system) == {"v4"}
    assert system.store.history.snapshot(SHOP).compared


def test_a_tag_that_a_deletion_of_ours_may_have_removed_is_no_sign_of_it(make_system: Make) -> None:
    system = make_system(keep_last(9))
    system.push("v1")
    look(system)
    delete_unheard(system, "v1")
    system.store.deletions.request_healing(SHOP, ["v1"])
    restart(system)
    system.push("v1", repository="shop/web")
    look(system)
    assert system.store.history.snapshot(SHOP).compared


def test_nothing_is_noted_of_an_emptied_repository_that_the_registry_goes_on_listing(make_system: Make) -> None:
    system = make_system(keep_last(9))
    system.deaf = True
    system.push("v1")
    delete_unheard(system, "v1")
    look(system)
    assert system.registry.storage.repositories.keys() == {SHOP}
    assert not system.store.connection.client.hexists(system.store.connection.keys.of("compared"), SHOP)
