"""Healing: a tag that our deletion removed is restored to the digest of its last push, and not after another push."""

from typing import Any

import pytest

from service.domain.errors import RegistryUnavailable
from service.domain.history.lost import FOR_GOOD
from service.domain.policy.model import Policy
from service.prune import deleting, planning
from service.reconcile import compare
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.pushes import put, unheard
from tests.support.system import SHOP, Make, doomed_system

V1 = make_image(f"{SHOP}:v1")


def test_a_tag_restored_where_it_stood_before_an_unreported_push_follows_that_push(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["prod"]))
    system.push("prod", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    before = system.registry.tags(SHOP)["prod"]
    unheard(system, lambda: put(system, "prod", V1))
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.registry.tags(SHOP)["prod"] == before
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["prod"] == V1.digest


def test_a_push_that_our_put_crossed_wins_also_when_it_is_reported_later(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["prod"]))
    system.push("prod", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    newest: list[str] = []

    def push() -> str:
        return system.registry.push_image(SHOP, "prod", seed="newest")

    unheard(system, lambda: put(system, "prod", V1))
    system.missed.clear()
    system.registry.before("PUT", "manifests/prod", lambda: newest.append(unheard(system, push)))
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.registry.tags(SHOP)["prod"] != newest[0]
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["prod"] == newest[0]


def test_a_look_that_is_asked_for_while_looking_is_taken(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.push("v1", "v2")
    system.settle()

    def lose_v1() -> None:
        system.registry.storage.repositories[SHOP].tags.pop("v1")
        system.store.deletions.request_healing(SHOP, ["v1"])

    system.store.deletions.request_healing(SHOP, ["v1"])
    system.registry.after("HEAD", "manifests/v1", lose_v1)
    planning.enforce(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v1", "v2"}


def test_the_parts_of_an_index_that_only_a_look_at_the_registry_finds_are_restored(make_system: Make) -> None:
    system = doomed_system(make_system)
    unheard(system, lambda: put(system, "stable", index_over([V1], seed="multi")))
    deleting.delete(system.wiring, SHOP)
    assert V1.digest not in system.registry.manifests(SHOP)
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.later()
    system.pull_whole("stable")


def test_the_parts_of_an_index_that_a_doomed_tag_was_moved_to_without_an_event_are_restored(make_system: Make) -> None:
    system = make_system(keep_last(1), delete={"parallel": 1})
    system.push("moved", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    index = index_over([V1], seed="multi")
    system.registry.before("DELETE", V1.digest, lambda: unheard(system, lambda: put(system, "moved", index)))
    deleting.delete(system.wiring, SHOP)
    assert V1.digest not in system.registry.manifests(SHOP)
    system.later()
    system.pull_whole("moved")


def test_an_index_is_restored_together_with_a_child_that_was_deleted_after_it(make_system: Make) -> None:
    system = make_system(keep_last(1))
    child = make_image("child")
    index = index_over([child], seed="index")
    system.registry.push(SHOP, "child", child)
    system.registry.push(SHOP, "multi", index)
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    unheard(system, lambda: put(system, "stable", index))
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.registry.manifests(SHOP).keys().isdisjoint({index.digest, child.digest})
    system.hear_late()
    system.later()
    system.pull_whole("stable")


def test_an_index_deleted_before_its_last_push_was_reported_keeps_no_parts(make_system: Make) -> None:
    system = make_system(keep_last(2), fake={"references": True})
    part = make_image("part")
    index = index_over([part], seed="index")
    system.registry.push(SHOP, "part", part)
    system.registry.push(SHOP, "multi", index)
    system.push("moved", "v2")
    planning.enforce(system.wiring, SHOP)
    system.registry.before("DELETE", index.digest, lambda: unheard(system, lambda: put(system, "moved", index)))
    deleting.delete(system.wiring, SHOP)
    system.registry.push_image(SHOP, "moved")
    system.hear_late()
    system.later()
    assert index.digest not in system.registry.manifests(SHOP)
    assert system.tags() == {"moved", "v2"}


def test_an_image_that_cannot_be_restored_is_recorded_as_lost_and_blocks_nothing(make_system: Make) -> None:
    system = doomed_system(make_system)
    unheard(system, lambda: put(system, "stable", V1))
    deleting.delete(system.wiring, SHOP)
    system.registry.collect()
    system.hear_late()
    system.later()
    assert system.reasons("lost")["stable"].startswith(f"{FOR_GOOD} (")
    assert "lost shop/api:stable" in [trouble.about for trouble in system.store.outbox.troubles()]
    assert system.store.outbox.healing() == 0
    system.push("v3", "v4")
    system.later()
    assert system.tags() == {"v4"}


def test_a_tag_that_we_took_along_and_whose_image_its_user_deleted_is_let_go(make_system: Make) -> None:
    """The push is reported last, and names an image that no longer exists by then."""
    system = doomed_system(make_system)
    moved = make_image("moved")
    system.registry.during_delete(lambda: unheard(system, lambda: system.registry.push(SHOP, "v1", moved)))
    deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v2"}
    Pusher(system.registry.url).delete(SHOP, moved.digest)
    system.hear_late()
    system.later()
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v2"}
    assert system.store.outbox.troubles() == ()


def test_a_tag_that_is_lost_is_let_go_when_it_is_reported_later_that_its_image_was_deleted(make_system: Make) -> None:
    """An earlier deletion by pushprune, before a collection, could have been the one that removed the image."""
    system = make_system(keep_last(1, protect=["prod"]))
    moved = make_image("moved")
    system.registry.push(SHOP, "v0", moved)
    system.push("v1")
    system.settle()
    system.store.trash.collected()
    system.push("prod", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    unheard(system, lambda: put(system, "prod", V1))
    system.registry.during_delete(lambda: unheard(system, lambda: system.registry.push(SHOP, "prod", moved)))
    deleting.delete(system.wiring, SHOP)
    pushes = list(system.missed)
    system.missed.clear()
    unheard(system, lambda: Pusher(system.registry.url).delete(SHOP, moved.digest))
    for envelope in pushes:
        system.hear(envelope)
    system.later()
    assert [trouble.about for trouble in system.store.outbox.troubles()] == ["lost shop/api:prod"]
    system.hear_late()
    system.later()
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v2"}
    assert system.store.outbox.troubles() == ()


def test_an_image_that_its_user_deleted_is_not_restored_from_the_trash(make_system: Make) -> None:
    """The trash has the image from an earlier delete. The next delete removes a tag that was moved to the image."""
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    system.push("v3")
    planning.enforce(system.wiring, SHOP)
    system.registry.during_delete(lambda: unheard(system, lambda: system.registry.push(SHOP, "v2", V1)))
    deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v3"}
    Pusher(system.registry.url).delete(SHOP, V1.digest)
    system.hear_late()
    system.later()
    assert system.tags() == {tag.name for tag in system.store.history.live(SHOP)} == {"v3"}


def test_a_doomed_image_is_not_healed_if_its_delete_worked_without_an_answer(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.registry.drop_connection("DELETE", handled=True, times=None)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    planning.enforce(system.wiring, SHOP)
    assert system.registry.count("pushprune/", "PUT") == 0
    system.later()
    assert system.tags() == {"v2"}
    assert system.store.history.doomed(SHOP) == ()
    assert system.reasons() == {"v1": "older than the newest (rule last)"}


def test_a_push_that_was_looked_at_before_the_delete_took_it_is_looked_at_after_it(make_system: Make) -> None:
    """The look that the push asked for came too early, and the registry's own delete events are lost."""
    system = doomed_system(make_system)
    pushed: list[str] = []

    def push_and_look() -> None:
        pushed.append(system.registry.push_image(SHOP, "v1", seed="again"))
        planning.enforce(system.wiring, SHOP)
        system.deaf = True

    system.registry.during_delete(push_and_look)
    deleting.delete(system.wiring, SHOP)
    system.messages.enforce(SHOP)
    system.settle()
    assert system.registry.tags(SHOP).get("v1") == pushed[0]


def test_after_a_delete_without_an_answer_its_tags_are_looked_at_at_once(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.deaf = True
    system.registry.drop_connection("DELETE", handled=True)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert [name for name, _ in system.store.history.snapshot(SHOP).heal] == ["v1"]


def test_a_tag_whose_return_was_not_answered_may_still_be_on_its_way_and_keeps_collections_away(
    make_system: Make,
) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    system.settle()
    gone = system.registry.tags(SHOP)["v1"]
    system.deaf = True
    manifest = system.wiring.registry.client.get(SHOP, gone)
    assert manifest is not None
    system.wiring.registry.client.delete(SHOP, gone)
    system.wiring.registry.client.put(
        SHOP, gone, manifest.media_type, manifest.content
    )  # the manifest stands, its tag is gone
    system.missed.clear()
    system.store.deletions.request_healing(SHOP, ["v1"])
    system.registry.drop_connection("PUT")
    with pytest.raises(RegistryUnavailable):
        planning.enforce(system.wiring, SHOP)
    assert system.store.leases.writers() == 1


@pytest.mark.usefixtures("complete_pushes")
def test_a_healed_image_whose_tag_moved_since_is_deleted_as_one_without_a_tag(make_system: Make) -> None:
    """The DELETE had removed the tag; its image exists again until its user pushes the tag to another image."""
    rule = {"name": "last", "keep": {"last": 1}, "untagged": 0}
    system = make_system(Policy.model_validate({"protect": ["prod"], "hold_min": 100, "rules": [rule]}))
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    unheard(system, lambda: put(system, "prod", V1))
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.registry.after("PUT", "manifests/prod", lambda: system.registry.push_image(SHOP, "prod", seed="next"))
    system.later()
    assert V1.digest not in system.registry.manifests(SHOP)


def test_a_part_of_an_inner_index_whose_push_was_not_reported_is_restored(make_system: Make) -> None:
    system = doomed_system(make_system)
    inner = index_over([V1], seed="inner")
    outer = index_over([inner], seed="outer")
    unheard(system, lambda: put(system, inner.digest, inner))
    system.missed.clear()
    unheard(system, lambda: put(system, "v3", outer))
    deleting.delete(system.wiring, SHOP)
    assert V1.digest not in system.registry.manifests(SHOP)
    system.hear_late()
    system.later()
    system.pull_whole("v3")


def test_a_tag_that_a_push_moved_is_not_moved_back_before_that_push_is_reported(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.push("latest")
    system.settle()
    newer = make_image("newer")
    system.deaf = True
    system.registry.push(SHOP, "latest", newer)
    system.store.deletions.request_healing(SHOP, ["latest"])
    planning.enforce(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["latest"] == newer.digest
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["latest"] == newer.digest


def test_a_push_is_restored_that_meets_a_delete_that_is_no_longer_waited_for(make_system: Make) -> None:
    """The registry may work for ten minutes at a DELETE that it did not answer in time."""
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    client: Any = system.store.connection.client
    touched, minutes_ms = system.store.connection.keys.of("touched", SHOP), 9 * 60_000
    for tag in client.zrange(touched, 0, -1):
        client.zincrby(touched, -minutes_ms, tag)
    image = make_image("pushed while the DELETE went on")
    system.registry.push(SHOP, "v1", image)
    del system.registry.storage.repositories[SHOP].tags["v1"]
    system.later()
    assert system.registry.tags(SHOP)["v1"] == image.digest
