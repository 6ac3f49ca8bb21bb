"""A tag that one of our deletes removed by accident stays known, reported and restorable until it exists again."""

from typing import Any

import pytest

from service.domain.errors import AccessDenied
from service.domain.oci import tombstone
from service.prune import deleting, planning
from service.reconcile import compare
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System, doomed_system

V1 = make_image(f"{SHOP}:v1")
Refusal = dict[str, Any]
READ_ONLY: Refusal = {"method": "PUT", "path_regex": "manifests/", "status": 405}
NO_LOGIN: Refusal = {"method": "*", "status": 401}
NO_RIGHTS: Refusal = {"method": "PUT", "path_regex": "manifests/", "status": 403}
GONE_FOR_NOW: Refusal = {"method": "PUT", "path_regex": "manifests/", "status": 404,
                "body": b'{"errors": [{"code": "NAME_UNKNOWN"}]}'}  # fmt: skip
TOO_MANY: Refusal = {"method": "*", "status": 429}


def lose_a_push(system: System) -> None:
    """An accepted push of v1 that our DELETE takes along; its notification comes after that."""
    push_unheard(system, "v1")
    deleting.delete(system.wiring, SHOP)
    assert "v1" not in system.tags()
    system.hear_late()


def lose_a_rescued_image(system: System) -> None:
    """An accepted push of v1 that is heard while our DELETE of the same image is on its way."""
    again = (SHOP, "v1", V1.media_type, V1.manifest)
    system.registry.before("DELETE", V1.digest, lambda: Pusher(system.registry.url).put(*again))
    deleting.delete(system.wiring, SHOP)
    assert "v1" not in system.tags()


def push_unheard(system: System, tag: str) -> None:
    system.deaf = True
    Pusher(system.registry.url).put(SHOP, tag, V1.media_type, V1.manifest)
    system.deaf = False


def troubles(system: System) -> dict[str, str]:
    return {trouble.about: trouble.message for trouble in system.store.outbox.troubles()}


@pytest.mark.parametrize("refusal", [READ_ONLY, NO_LOGIN, NO_RIGHTS, GONE_FOR_NOW, TOO_MANY])
def test_a_restore_that_the_registry_refuses_for_a_while_succeeds_after_that(
    make_system: Make, refusal: Refusal
) -> None:
    system = doomed_system(make_system)
    lose_a_push(system)
    system.registry.fail_next(**refusal, times=None)
    system.later()
    assert "v1" not in system.tags()
    system.registry.faults.clear()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == V1.digest
    assert troubles(system) == {}


def test_an_image_that_is_not_restored_yet_is_reported_with_the_registrys_reason(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_a_push(system)
    system.registry.fail_next(**NO_RIGHTS, times=None)
    system.later()
    message = troubles(system)[f"lost {SHOP}:v1"]
    assert message.startswith("a deletion by pushprune removed this image during its push; it is not restored yet: ")
    assert "403" in message


def test_a_refused_restore_does_not_stop_the_policy_in_its_repository(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["prod"]))
    system.push("prod", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    push_unheard(system, "prod")
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.registry.fail_next(**NO_RIGHTS, times=None)
    system.push("v3")
    system.later()
    assert system.tags() == {"v3"}
    system.registry.faults.clear()
    system.later()
    assert system.tags() == {"prod", "v3"}


def test_the_waits_between_refused_restores_grow(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_a_push(system)
    system.registry.fail_next(**READ_ONLY, times=None)
    for _ in range(3):
        planning.enforce(system.wiring, SHOP)
    assert system.registry.count("pushprune/", "PUT", "manifests/v1") == 1
    assert system.store.history.snapshot(SHOP).heal == ()


def test_a_collection_waits_for_what_is_not_restored_yet(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_a_push(system)
    system.registry.fail_next(**READ_ONLY, times=None)
    system.later()
    assert system.store.outbox.unhealed() == (f"{SHOP} v1",)


def test_a_comparison_counts_a_tag_that_is_not_restored_yet_and_keeps_it_known(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_a_push(system)
    system.registry.fail_next(**READ_ONLY, times=None)
    system.later()
    done = compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    assert done.differed == 1
    assert "v1" in {tag.name for tag in system.store.history.live(SHOP)}
    system.registry.faults.clear()
    planning.enforce(system.wiring, SHOP)
    assert system.tags() == {"v1", "v2"}


def test_the_trash_lists_a_tag_that_is_not_restored_yet_and_a_user_can_restore_it(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_a_rescued_image(system)
    system.registry.fail_next(**READ_ONLY, times=None)
    system.later()
    assert [(image.tag, image.digest) for image in system.wiring.restore.deleted(SHOP)] == [("v1", V1.digest)]
    system.registry.faults.clear()
    assert system.wiring.restore.restore(SHOP, tag="v1").tags == ("v1",)
    assert system.registry.tags(SHOP)["v1"] == V1.digest
    system.later()
    assert troubles(system) == {}
    assert "v1" not in {image.tag for image in system.wiring.restore.deleted(SHOP)}


def without_prod(make_system: Make) -> System:
    """Make a system that has lost the protected tag prod in a race, with the layers of its image."""
    system = make_system(keep_last(1, protect=["prod"]))
    system.push("prod", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    push_unheard(system, "prod")
    deleting.delete(system.wiring, SHOP)
    system.registry.collect()
    system.hear_late()
    system.later()
    return system


def test_an_image_whose_layers_are_gone_is_lost_and_the_trouble_says_so(make_system: Make) -> None:
    system = without_prod(make_system)
    message = troubles(system)[f"lost {SHOP}:prod"]
    assert message.startswith("a deletion removed it during its push, and it cannot be restored: push it again (")
    assert "layers or parts that it needs are missing" in message
    assert len([entry for entry in system.store.history.entries(SHOP) if entry.action == "lost"]) == 1
    assert "prod" not in {image.tag for image in system.wiring.restore.deleted(SHOP)}


def test_a_lost_image_stays_known_when_the_repository_is_compared(make_system: Make) -> None:
    system = without_prod(make_system)
    done = compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    assert done.differed == 1
    assert "prod" in {tag.name for tag in system.store.history.live(SHOP)}
    assert f"lost {SHOP}:prod" in troubles(system)


def test_a_tombstone_that_cannot_be_removed_for_a_while_is_removed_after_that(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    system.settle()
    Pusher(system.registry.url).put(SHOP, tombstone.FIRST.digest, tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    system.store.deletions.request_healing(SHOP, [tombstone.FIRST.digest])
    system.registry.fail_next("DELETE", status=405, times=None)
    system.later()
    assert [entry.action for entry in system.store.history.entries(SHOP) if entry.action == "lost"] == []
    system.registry.faults.clear()
    system.later()
    assert tombstone.FIRST.digest not in system.registry.manifests(SHOP)
    assert troubles(system) == {}


def lose_for_good(system: System) -> None:
    """The push of `stable`, to the image of v1, is heard when a collection has deleted the layers of that image."""
    push_unheard(system, "stable")
    deleting.delete(system.wiring, SHOP)
    system.registry.collect()
    system.hear_late()
    system.later()
    assert list(troubles(system)) == [f"lost {SHOP}:stable"]


def a_minute_passes(system: System) -> None:
    system.store.connection.client.delete(system.store.connection.keys.of("lease", "lost"))
    system.later()


def test_a_lost_image_takes_no_place_of_an_image_that_exists(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_for_good(system)
    assert system.tags() == {"v2"}


def test_the_trouble_ends_when_the_policy_no_longer_keeps_the_tag(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_for_good(system)
    system.push("v3")
    system.later()
    assert troubles(system) == {}
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags() == {"v3"}


def test_the_trouble_ends_when_the_policy_no_longer_keeps_the_tag_a_day_later(make_system: Make) -> None:
    """After a day, no record shows that a deletion by pushprune touched the tag."""
    system = doomed_system(make_system)
    lose_for_good(system)
    system.store.connection.client.delete(system.store.connection.keys.of("touched", SHOP))
    system.push("v3")
    system.later()
    assert troubles(system) == {}
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags() == {"v3"}


def test_the_trouble_ends_when_the_tag_exists_again_even_without_an_event(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_for_good(system)
    system.deaf = True
    system.registry.push_image(SHOP, "stable", seed="another")
    a_minute_passes(system)
    assert troubles(system) == {}
    assert "stable" in system.tags()


def test_the_trouble_ends_when_its_user_deletes_the_tag(make_system: Make) -> None:
    system = doomed_system(make_system, version="3")
    lose_for_good(system)
    event = {"id": "late", "timestamp": "2999-01-01T00:00:00Z", "action": "delete",
             "target": {"repository": SHOP, "tag": "stable"}, "request": {"useragent": "docker"}}  # fmt: skip
    event["timestamp"] = system.registry.events[-1]["timestamp"]
    system.hear({"events": [event]})
    system.later()
    assert troubles(system) == {}


def test_the_trouble_about_an_image_that_cannot_be_restored_remains(make_system: Make) -> None:
    system = doomed_system(make_system)
    lose_for_good(system)
    a_minute_passes(system)
    assert list(troubles(system)) == [f"lost {SHOP}:stable"]


def test_an_image_that_a_user_deleted_unheard_is_not_lost(make_system: Make) -> None:
    """The tag was deleted and pushed again right before, so that the deletion may have met that push."""
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    pushed = system.registry.push_image(SHOP, "v1", seed="another")
    system.deaf = True
    Pusher(system.registry.url).delete(SHOP, pushed)
    system.missed.clear()
    system.deaf = False
    system.later()
    assert troubles(system) == {}
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags()
    assert "v1" in system.reasons("vanished")


def test_a_restored_tag_is_kept_although_the_storage_was_away_at_the_next_look(make_system: Make) -> None:
    """Healing deletes what it pushed under a tag that the history does not know any more."""
    system = doomed_system(make_system)
    moved = make_image("moved")

    def push() -> None:
        system.registry.push(SHOP, "v1", moved)

    system.registry.during_delete(push)
    deleting.delete(system.wiring, SHOP)
    assert "v1" not in system.tags()
    system.later(rounds=1)
    assert system.registry.tags(SHOP)["v1"] == moved.digest
    system.store.deletions.request_healing(SHOP, ["v1"])
    body = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
    system.registry.fail_next("*", f"{SHOP}/manifests/", status=404, body=body, times=None)
    system.later(rounds=1)
    system.registry.faults.clear()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == moved.digest
    assert "v1" in {tag.name for tag in system.store.history.live(SHOP)}


def test_a_tag_that_the_registry_does_not_show_for_a_moment_keeps_its_place_in_the_history(make_system: Make) -> None:
    """The registry shows no other tag either, so nothing proves that a user deleted this one."""
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    system.push("v3")
    pushed = system.registry.push_image(SHOP, "v1", seed="another")
    before = {tag.name: tag.pushed_us for tag in system.store.history.live(SHOP)}
    body = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
    system.registry.fail_next("*", f"{SHOP}/manifests/", status=404, body=body, times=None)
    system.later(rounds=1)
    assert "v1" not in system.reasons("vanished")
    assert {tag.name: tag.pushed_us for tag in system.store.history.live(SHOP)} == before
    system.registry.faults.clear()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == pushed
    assert troubles(system) == {}


@pytest.mark.parametrize("is_full", [True, False])
def test_in_a_full_history_an_image_may_be_one_that_pushprune_deleted(make_system: Make, is_full: bool) -> None:
    """A collection came before the report of the push, and the entry of the deletion is older than the history."""
    system = doomed_system(make_system, history={"repository_entries": 1 if is_full else 1_000})
    push_unheard(system, "v1")
    deleting.delete(system.wiring, SHOP)
    system.registry.collect()
    system.store.trash.collected()
    system.store.connection.client.xtrim(system.store.connection.keys.of("history", SHOP), 0, approximate=False)
    system.hear_late()
    system.later()
    assert (list(troubles(system)) == [f"lost {SHOP}:v1"]) is is_full


def test_an_image_that_pushprune_deleted_is_lost_also_without_a_trace_of_it_in_the_trash(make_system: Make) -> None:
    """A collection came before the report of the push."""
    system = doomed_system(make_system)
    push_unheard(system, "v1")
    deleting.delete(system.wiring, SHOP)
    system.registry.collect()
    system.store.trash.collected()
    system.hear_late()
    system.later()
    assert list(troubles(system)) == [f"lost {SHOP}:v1"]
    assert "v1" in {tag.name for tag in system.store.history.live(SHOP)}


def test_an_image_that_was_lost_is_restored_when_the_registry_takes_it_after_all(make_system: Make) -> None:
    """The registry's storage was away for a moment."""
    system = doomed_system(make_system)
    push_unheard(system, "stable")
    deleting.delete(system.wiring, SHOP)
    body = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}'
    system.registry.fail_next("PUT", "manifests/", status=400, body=body, times=None)
    system.hear_late()
    system.later()
    assert list(troubles(system)) == [f"lost {SHOP}:stable"]
    system.registry.faults.clear()
    a_minute_passes(system)
    assert "stable" in system.tags()
    assert troubles(system) == {}


def test_the_trouble_about_a_lost_part_ends_with_its_index(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["multi"]))
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    index = index_over([V1], seed="multi")
    system.deaf = True
    Pusher(system.registry.url).put(SHOP, "multi", index.media_type, index.manifest)
    deleting.delete(system.wiring, SHOP)
    system.registry.collect()
    system.hear_late()
    system.later()
    assert f"lost {SHOP}@{index.digest}" in troubles(system)
    Pusher(system.registry.url).delete(SHOP, index.digest)
    a_minute_passes(system)
    assert troubles(system) == {}


def test_a_restore_by_hand_that_the_registry_refuses_for_now_names_that_and_asks_for_no_push(make_system: Make) -> None:
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    system.registry.fail_next(**NO_RIGHTS)
    with pytest.raises(AccessDenied, match="403"):
        system.wiring.restore.restore(SHOP, tag="v1")
    assert system.wiring.restore.restore(SHOP, tag="v1").tags == ("v1",)


def test_a_tag_whose_loss_nothing_proves_leaves_the_history_once_a_user_reconciles_its_repository(
    make_system: Make,
) -> None:
    system = make_system(keep_last(9))
    system.push("v1")
    system.store.deletions.request_healing(SHOP, ["v1"])
    held = system.registry.storage.repositories[SHOP]
    del held.manifests[held.tags.pop("v1")]
    # A newer tag does not prove that the storage is the one that had v1.
    system.push("v2")
    system.later()
    assert f"pushprune reconcile {SHOP}" in troubles(system)[f"lost {SHOP}:v1"]
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v1", "v2"}
    snapshot = system.store.history.snapshot(SHOP)
    compare.compare(system.store, system.wiring.registry, snapshot, trusts_listing=True)
    system.later()
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v2"}
    assert troubles(system) == {}
