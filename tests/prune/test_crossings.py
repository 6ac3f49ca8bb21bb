"""Crossings that the machine found (tests/machine): deletes, plans, healings and users."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from service.clock import now_us
from service.domain.oci.manifest import References
from service.prune import deleting, planning, protecting
from service.store.approvals import Approvals
from service.store.keys import short
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image, make_index
from tests.fakes.pusher import Pusher
from tests.support.makers import policy
from tests.support.pushes import unheard
from tests.support.races import PATIENCE_S
from tests.support.system import SHOP, Make, doomed_system, untag_first

V1 = make_image(f"{SHOP}:v1")


def test_a_user_who_deletes_what_is_just_being_restored_is_obeyed(make_system: Make) -> None:
    system = doomed_system(make_system, version="3")
    system.registry.during_delete(lambda: system.registry.push_image(SHOP, "v1", seed="again"))
    deleting.delete(system.wiring, SHOP)

    def delete() -> None:
        Pusher(system.registry.url).put(SHOP, "v1", V1.media_type, V1.manifest)
        Pusher(system.registry.url).delete(SHOP, "v1")

    system.registry.before("PUT", "manifests/v1", delete)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v2"}


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_an_image_restored_after_an_unreported_deletion_is_deleted_whole(make_system: Make, version: str) -> None:
    system = make_system(keep_last(2), version)
    system.push("v1", "v2", "v3")
    system.settle()
    system.push("v1")
    unheard(system, lambda: Pusher(system.registry.url).delete(SHOP, V1.digest))
    system.settle()
    assert V1.digest in system.registry.manifests(SHOP), "nothing was put back"
    system.hear_late()
    system.later()
    assert system.tags() == {"v3"}
    assert set(system.registry.manifests(SHOP)) == {make_image(f"{SHOP}:v3").digest}


def test_the_parts_of_an_index_are_deleted_although_its_tag_was_pushed_elsewhere_while_it_was_deleted(
    make_system: Make,
) -> None:
    """The push drops the plan, after which no record says that the old index was deleted."""
    system = make_system(keep_last(1))
    old, new = make_index("old"), make_index("new")
    system.registry.push(SHOP, "v1", old)
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    system.registry.after("DELETE", old.digest, lambda: system.registry.push(SHOP, "v1", new))
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v1"}
    assert set(system.registry.manifests(SHOP)) == {new.digest, *(child.digest for child in new.children)}


def test_a_push_of_the_same_digest_during_our_delete_is_not_void(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.deaf = True
    system.registry.after("DELETE", V1.digest, lambda: system.registry.push(SHOP, None, V1))
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    assert V1.digest in system.registry.manifests(SHOP)
    assert V1.digest in {item.digest for item in system.store.history.snapshot(SHOP).untagged}


def test_a_push_without_a_tag_that_our_delete_took_along_is_not_looked_for_for_ever(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(policy("rules: [{keep: {last: 1}, untagged: 0s}]"))
    system.registry.push(SHOP, "v1", V1)
    system.registry.push_image(SHOP, "v1", seed="new")
    planning.enforce(system.wiring, SHOP)
    system.registry.before("DELETE", V1.digest, lambda: system.registry.push(SHOP, None, V1))
    deleting.delete(system.wiring, SHOP)
    monkeypatch.setattr(planning, "now_us", lambda: now_us() + 2 * 3600 * 1_000_000)
    system.later()
    system.settle()
    assert system.store.history.snapshot(SHOP).untagged == ()
    assert set(system.registry.manifests(SHOP)) == {make_image("new").digest}


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_an_image_is_deleted_whole_where_the_tag_that_kept_it_is_moved_before_its_doomed_tag_is_off(
    make_system: Make, version: str
) -> None:
    system = make_system(policy("rules: [{keep: {last: 1}, count: tags}]"), version)
    system.registry.push(SHOP, "v1", V1)
    system.registry.push(SHOP, "v2", V1)
    planning.enforce(system.wiring, SHOP)
    system.registry.push_image(SHOP, "v2", seed="new")
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {make_image("new").digest}


def test_the_parts_of_an_index_that_stands_again_without_an_event_stay_doomed_no_longer(make_system: Make) -> None:
    system = make_system(keep_last(5))
    part = make_image("part")
    index = index_over([part], seed="index")
    system.push("v1")
    system.registry.push(SHOP, "multi", index)
    system.settle()
    known = References(children=(part.digest,))
    system.store.facts.resolve(system.store.history.snapshot(SHOP), {index.digest: known})
    Pusher(system.registry.url).delete(SHOP, index.digest)
    planning.enforce(system.wiring, SHOP)
    assert [doomed.digest for doomed in system.store.history.doomed(SHOP)] == [part.digest]
    unheard(system, lambda: system.registry.push(SHOP, None, index))
    system.settle()
    system.pull_whole(index.digest)
    assert system.store.history.doomed(SHOP) == ()


def test_a_users_delete_makes_its_repository_due(make_system: Make) -> None:
    system = make_system(keep_last(5))
    index = index_over([make_image("part")], seed="index")
    system.registry.push(SHOP, "v1", index)
    system.push("v2")
    system.settle()
    known = References(children=(make_image("part").digest,))  # as the registry says with `includereferences`
    system.store.facts.resolve(system.store.history.snapshot(SHOP), {index.digest: known})
    Pusher(system.registry.url).delete(SHOP, index.digest)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {make_image(f"{SHOP}:v2").digest}


def test_a_manifest_pushed_without_a_tag_is_planned_again_after_an_hour(make_system: Make) -> None:
    system = make_system(keep_last(5))
    system.registry.push_image(SHOP, None)
    client, keys = system.store.connection.client, system.store.connection.keys
    due_ms = float(client.zscore(keys.of("due"), SHOP) or 0)
    assert 3_500_000 < due_ms - system.store.connection.now_ms() <= 3_600_000
    assert system.messages.sent == []


def test_a_tag_that_our_healing_put_astray_is_deleted_with_its_doomed_push(make_system: Make) -> None:
    """v1 was restored to its old push, then pushed again without a notification; when that arrives, v1 is doomed."""
    system = doomed_system(make_system)
    old = V1.digest
    system.store.deletions.note_own_put(SHOP, "v1", make_image("astray").digest)
    Pusher(system.registry.url, agent=system.agent).push(SHOP, "v1", make_image("astray"))
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    assert short(old) not in {short(item) for item in system.registry.manifests(SHOP)}


@pytest.mark.parametrize("tags_first", [True, False])
def test_a_doomed_tag_that_we_may_have_untagged_vanishes_if_its_image_was_deleted_by_another(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, tags_first: bool
) -> None:
    """Neither the registry nor the trash can restore the tag, and the plan says that it must not be restored."""
    untag_first(monkeypatch, tags_first)
    system = make_system(keep_last(1))
    system.push("v0", "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    system.deaf = True
    Pusher(system.registry.url).delete(SHOP, V1.digest)
    system.store.deletions.request_healing(SHOP, ["v1"])
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v2"}
    assert (set(system.reasons("vanished")), set(system.reasons("pruned"))) == ({"v1"}, {"v0"})
    assert system.store.outbox.healing() == 0


def test_an_image_whose_protection_meets_its_deletion_is_restored(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DELETE is on its way when a user protects the image, and ends before the protection is noted."""
    system = doomed_system(make_system)
    is_sent, may_end, note = Event(), Event(), Approvals.note

    def wait() -> None:
        is_sent.set()
        may_end.wait(PATIENCE_S)

    system.registry.before("DELETE", "manifests/sha256", wait)
    with ThreadPoolExecutor(1) as worker:
        deletion = worker.submit(deleting.delete, system.wiring, SHOP)

        def late_note(approvals: Approvals, *args: Any) -> None:
            may_end.set()
            deletion.result(PATIENCE_S)
            note(approvals, *args)

        monkeypatch.setattr(Approvals, "note", late_note)
        assert is_sent.wait(PATIENCE_S)
        protection = protecting.protect(system.store, system.wiring.dispatch, SHOP, {"v1": V1.digest}, 3600, by="alice")
    assert protection.moved == ""
    system.settle()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == V1.digest


@pytest.mark.parametrize("by", ["push", "protection"])
def test_no_further_tag_of_an_image_is_deleted_once_a_user_keeps_the_image(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Between the deletions of two tags of one image."""
    untag_first(monkeypatch)
    system = make_system(keep_last(1), "3", delete={"parallel": 1})
    for tag, seed in (("v1", "one"), ("v2", "one"), ("v3", "three"), ("v4", "four")):
        system.registry.push_image(SHOP, tag, seed=seed)
    planning.enforce(system.wiring, SHOP)
    image = system.registry.tags(SHOP)["v1"]

    def keep() -> None:
        if by == "push":
            system.registry.push_image(SHOP, "v1", seed="one")
        else:
            protecting.protect(system.store, system.wiring.dispatch, SHOP, {"v1": image}, 3600, by="alice")

    system.registry.after("DELETE", "manifests/v2", keep)
    deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP).get("v1") == image
    system.settle()
    system.later()
    assert system.registry.tags(SHOP).items() >= {"v1": image, "v2": image}.items()
