"""Deletions by `pushprune prune --registry` are not healed, and a client gains nothing by calling itself pushprune."""

import pytest

from service.domain.oci import tombstone
from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System, doomed_system

VERSIONS = pytest.mark.parametrize("version", ["2.8", "3"])
V1 = make_image(f"{SHOP}:v1")


def one_off(system: System) -> Pusher:
    return Pusher(system.registry.url, agent="pushprune/0.1.0")


def delete_unheard(system: System, reference: str) -> None:
    """A delete by another pushprune; the registry tells of it later."""
    system.deaf = True
    one_off(system).delete(SHOP, reference)


def no_trouble(system: System) -> bool:
    return system.store.outbox.troubles() == () and "lost" not in system.store.outbox.counters()


@VERSIONS
def test_images_deleted_before_the_service_started_are_not_reported_as_lost(make_system: Make, version: str) -> None:
    system = make_system(keep_last(5), version)
    system.deaf = True
    system.push("v1", "v2")
    delete_unheard(system, V1.digest)
    system.hear_late()
    system.later()
    assert no_trouble(system)
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v2"}


def test_a_tag_that_was_deleted_alone_is_not_restored(make_system: Make) -> None:
    system = make_system(keep_last(5), "3")
    system.deaf = True
    system.push("v1")
    Pusher(system.registry.url).put(SHOP, "stable", V1.media_type, V1.manifest)
    delete_unheard(system, "v1")
    system.hear_late()
    system.later()
    assert system.tags() == {tag.name for tag in system.store.history.live(SHOP)} == {"stable"}
    assert no_trouble(system)


def test_a_tag_that_was_deleted_by_a_tombstone_is_not_restored(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.deaf = True
    system.push("v1")
    Pusher(system.registry.url).put(SHOP, "stable", V1.media_type, V1.manifest)
    one_off(system).put(SHOP, "v1", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    delete_unheard(system, tombstone.FIRST.digest)
    system.hear_late()
    system.later()
    assert system.tags() == {tag.name for tag in system.store.history.live(SHOP)} == {"stable"}
    assert no_trouble(system)


@VERSIONS
def test_images_deleted_by_another_pushprune_are_not_reported_as_lost(make_system: Make, version: str) -> None:
    system = doomed_system(make_system, version=version)
    deleting.delete(system.wiring, SHOP)
    digest = system.registry.tags(SHOP)["v2"]
    one_off(system).delete(SHOP, digest)
    system.later()
    assert no_trouble(system)
    assert system.store.history.live(SHOP) == ()


@VERSIONS
def test_a_tag_removed_by_a_racing_delete_of_the_workers_is_restored_all_the_same(
    make_system: Make, version: str
) -> None:
    """All events of the repository come late: nothing but the trash tells who deleted it."""
    system = make_system(keep_last(1), version)
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    system.deaf = True
    Pusher(system.registry.url).put(SHOP, "v1", V1.media_type, V1.manifest)
    Pusher(system.registry.url).put(SHOP, "stable", V1.media_type, V1.manifest)
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.later()
    assert "stable" in system.tags()
    assert no_trouble(system)


def test_a_tombstone_that_another_pushprune_is_about_to_delete_is_not_undone_meanwhile(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    Pusher(system.registry.url).put(SHOP, "stable", V1.media_type, V1.manifest)
    one_off(system).put(SHOP, "v1", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    system.settle()
    assert system.registry.tags(SHOP)["v1"] == tombstone.FIRST.digest
    one_off(system).delete(SHOP, tombstone.FIRST.digest)
    system.later()
    assert system.tags() == {tag.name for tag in system.store.history.live(SHOP)} == {"stable"}
    assert no_trouble(system)


def test_a_tombstone_that_a_program_called_pushprune_leaves_on_a_tag_is_undone(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    one_off(system).put(SHOP, "v1", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    system.later()
    assert system.registry.tags(SHOP) == {"v1": V1.digest}
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v1"}


@VERSIONS
def test_a_push_by_a_client_that_calls_itself_pushprune_counts(make_system: Make, version: str) -> None:
    system = make_system(keep_last(3), version)
    for number in range(6):
        Pusher(system.registry.url, agent="pushprune/0.1.0 (me)").push(SHOP, f"v{number}", make_image(number))
    system.settle()
    assert system.tags() == {"v3", "v4", "v5"}


def test_no_delete_that_borrows_our_name_has_a_tag_restored_that_nothing_of_ours_deleted(make_system: Make) -> None:
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    Pusher(system.registry.url, agent="pushprune/0.1.0 (me)").delete(SHOP, system.registry.tags(SHOP)["v2"])
    system.later()
    assert system.tags() == set()
