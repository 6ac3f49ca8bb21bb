"""The loss of a part of an existing index: an alarm at once and at each comparison, listed in the trash, restored."""

from typing import Any

from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.state import Tag
from service.reconcile import compare as reconcile
from service.reconcile import confirm
from tests.conftest import keep_last
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System
from workers.sweep import sweep


def index_that_lost_a_part(make_system: Make) -> tuple[System, str, str]:
    """A part of a kept index that pushprune deleted, as after a wrong decision. Returns the index and the part."""
    system = make_system(keep_last(3))
    index = system.registry.push_index(SHOP, "latest")
    part = min(system.registry.manifests(SHOP).keys() - {index})
    wiring = system.wiring
    compare(system)
    confirm.resolve(wiring.store, wiring.registry, wiring.store.history.snapshot(SHOP), [index])
    system.messages.sent.clear()
    gone = Verdict(Tag("", part, None), False, "the index was deleted", None, after="sha256:" + "0" * 64)
    doomed, snapshot = Doomed(part, (gone,)), wiring.store.history.snapshot(SHOP)
    wiring.store.history.commit(snapshot, Plan(doomed=(doomed,)), "doomed")
    stored = system.registry.manifests(SHOP)[part]
    wiring.store.trash.save(snapshot, doomed, (stored.media_type, stored.content))
    Pusher(system.registry.url, agent=system.agent).delete(SHOP, part)
    wiring.store.deletions.forget(snapshot, doomed)
    return system, index, part


def compare(system: System) -> reconcile.Compared:
    return reconcile.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))


def test_a_lost_part_is_an_alarm_that_says_how_to_restore_it(make_system: Make) -> None:
    system, _, part = index_that_lost_a_part(make_system)
    assert compare(system).lost == 1
    (trouble,) = system.store.outbox.troubles()
    assert trouble.about == f"part {SHOP}@{part}"
    assert f"{SHOP}:latest" in trouble.message
    assert f"pushprune restore {SHOP}@{part}" in trouble.message


def test_the_trash_lists_a_lost_part_and_it_can_be_restored(make_system: Make) -> None:
    system, _, part = index_that_lost_a_part(make_system)
    assert [(image.tag, image.digest) for image in system.wiring.restore.deleted(SHOP)] == [("", part)]
    system.wiring.restore.restore(SHOP, digest=part)
    assert system.pull_whole("latest")
    assert compare(system).lost == 0
    assert system.store.outbox.troubles() == ()


def test_healing_restores_a_lost_part_and_the_alarm_ends(make_system: Make) -> None:
    system, _, _ = index_that_lost_a_part(make_system)
    compare(system)
    system.later()
    assert system.pull_whole("latest")
    compare(system)
    assert system.store.outbox.troubles() == ()


def swept(system: System) -> None:
    """The system after the sweep of the next minute."""
    client: Any = system.store.connection.client
    client.delete(system.store.connection.keys.of("lease", "broken"))
    sweep(system.wiring)


def test_the_alarm_ends_within_a_minute_and_not_with_the_next_comparison(make_system: Make) -> None:
    system, _, part = index_that_lost_a_part(make_system)
    compare(system)
    swept(system)
    assert system.store.outbox.troubles(), "it is still missing"
    system.wiring.restore.restore(SHOP, digest=part)
    system.registry.fail_next("HEAD", "manifests")
    swept(system)
    assert system.store.outbox.troubles(), "the registry did not answer"
    swept(system)
    assert system.store.outbox.troubles() == ()


def test_the_alarm_remains_until_the_image_is_pushed_again_if_nothing_can_be_restored(make_system: Make) -> None:
    system, index, part = index_that_lost_a_part(make_system)
    system.store.trash.collected()
    assert compare(system).lost == 1
    system.later()
    assert compare(system).lost == 1
    (trouble,) = system.store.outbox.troubles()
    assert "push the image again" in trouble.message
    assert part in trouble.about
    Pusher(system.registry.url).delete(SHOP, index)
    system.settle()
    assert compare(system).lost == 0
    assert system.store.outbox.troubles() == ()


def test_a_platform_that_was_never_pushed_is_no_alarm(make_system: Make) -> None:
    """Distribution 3 accepts an index without some of its parts (validation.manifests.indexes.platforms)."""
    system = make_system(keep_last(3))
    index = system.registry.push_index(SHOP, "latest")
    part = min(system.registry.manifests(SHOP).keys() - {index})
    confirm.resolve(system.store, system.wiring.registry, system.store.history.snapshot(SHOP), [index])
    del system.registry.storage.repositories[SHOP].manifests[part]
    assert compare(system).lost == 0
    assert system.store.outbox.troubles() == ()
