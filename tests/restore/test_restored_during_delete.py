"""A manifest without a tag that a user restores while its DELETE is under way is kept, or comes back."""

from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest

from service.domain.errors import RegistryUnavailable
from service.prune import deleting, planning
from tests.fakes.images import Image, index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System, put_in_force

PART, ONE = make_image("part"), make_image("one")
INDEX = index_over([PART])
pytestmark = pytest.mark.usefixtures("complete_pushes")
both_kinds = pytest.mark.parametrize("image", [ONE, INDEX], ids=["image", "index"])


def doomed_without_tag(make_system: Make, image: Image) -> System:
    """A system in which the image has no tag any more and is doomed."""
    system = make_system(policy("rules: [{name: all, keep: {last: 9}, untagged: 0s}]"))
    system.registry.push(SHOP, "v1", image)
    system.push("v1")
    planning.enforce(system.wiring, SHOP)
    assert [(doomed.digest, doomed.tags) for doomed in system.store.history.doomed(SHOP)] == [(image.digest, ())]
    system.messages.sent.clear()
    return system


def restore(system: System, image: Image) -> None:
    system.wiring.restore.restore(SHOP, digest=image.digest, by="alice")


def remove(system: System, image: Image) -> None:
    released = system.store.history.snapshot(SHOP).restored
    system.store.manual.request(SHOP, {image.digest: image.digest}, "alice", released=released)


def check_that_it_is_kept(system: System, image: Image) -> None:
    system.later()
    assert system.pull_whole(image.digest) == image.digest
    assert system.store.outbox.healing() == 0
    # The history knows the image, so that it can be deleted.
    remove(system, image)
    system.later(rounds=5)
    assert image.digest not in system.registry.manifests(SHOP)


@both_kinds
def test_the_manifest_is_restored_again_if_its_delete_was_sent_already(make_system: Make, image: Image) -> None:
    system = doomed_without_tag(make_system, image)
    system.registry.before("DELETE", image.digest, lambda: restore(system, image))
    deleting.delete(system.wiring, SHOP)
    assert image.digest not in system.registry.manifests(SHOP)
    assert system.reasons() == {}
    system.settle()
    assert image.digest in system.registry.manifests(SHOP), "without waiting for a sweep"
    check_that_it_is_kept(system, image)


@both_kinds
def test_the_manifest_is_restored_again_although_no_policy_has_to_keep_it(make_system: Make, image: Image) -> None:
    system = doomed_without_tag(make_system, image)
    unprotected = partial(system.wiring.restore.restore, SHOP, digest=image.digest, lease_s=0, by="alice")
    system.registry.before("DELETE", image.digest, unprotected)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.pull_whole(image.digest) == image.digest


@both_kinds
def test_the_manifest_is_restored_again_if_its_delete_was_never_answered(make_system: Make, image: Image) -> None:
    system = doomed_without_tag(make_system, image)
    system.registry.before("DELETE", image.digest, lambda: restore(system, image))
    system.registry.drop_connection("DELETE", image.digest, handled=True)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    check_that_it_is_kept(system, image)


@both_kinds
def test_the_manifest_is_restored_again_if_its_deletion_is_recorded_before_its_restore(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, image: Image
) -> None:
    system = doomed_without_tag(make_system, image)
    record = system.store.restorations.restored
    is_put, is_forgotten = Event(), Event()

    def record_late(*args: Any) -> bool:
        is_put.set()
        assert is_forgotten.wait(60)
        return record(*args)

    monkeypatch.setattr(system.store.restorations, "restored", record_late)
    user = Thread(target=restore, args=(system, image))

    def restore_until_recorded() -> None:
        user.start()
        assert is_put.wait(60)

    system.registry.before("DELETE", image.digest, restore_until_recorded)
    deleting.delete(system.wiring, SHOP)
    is_forgotten.set()
    user.join()
    check_that_it_is_kept(system, image)


def restored_during_delete(make_system: Make, then: Callable[[System], object]) -> System:
    """A system in which alice restored ONE during its DELETE; `then` happens right after the restore."""
    system = doomed_without_tag(make_system, ONE)

    def restore_then() -> None:
        restore(system, ONE)
        then(system)

    system.registry.before("DELETE", ONE.digest, restore_then)
    deleting.delete(system.wiring, SHOP)
    system.later()
    return system


def test_the_manifest_is_restored_again_although_a_push_dropped_the_plan(make_system: Make) -> None:
    system = restored_during_delete(make_system, lambda system: system.push("v2"))
    check_that_it_is_kept(system, ONE)


def test_the_manifest_is_restored_again_although_an_older_deletion_is_reported_after_the_restore(
    make_system: Make,
) -> None:
    system = doomed_without_tag(make_system, ONE)

    def delete_then_restore() -> None:
        system.deaf = True
        Pusher(system.registry.url).delete(SHOP, ONE.digest)
        restore(system, ONE)

    system.registry.before("DELETE", ONE.digest, delete_then_restore)
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    check_that_it_is_kept(system, ONE)


def test_the_manifest_remains_deleted_if_the_user_deletes_it_after_the_restore(make_system: Make) -> None:
    system = restored_during_delete(make_system, lambda system: remove(system, ONE))
    assert ONE.digest not in system.registry.manifests(SHOP)


def test_the_manifest_remains_deleted_if_another_client_deletes_it_after_the_restore(make_system: Make) -> None:
    system = restored_during_delete(make_system, lambda system: Pusher(system.registry.url).delete(SHOP, ONE.digest))
    assert ONE.digest not in system.registry.manifests(SHOP)
    assert system.store.outbox.healing() == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/blobs/"), ("PUT", ONE.digest)])
def test_the_manifest_is_deleted_again_if_the_user_deletes_it_while_healing_restores_it(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    system = doomed_without_tag(make_system, ONE)
    system.registry.before("DELETE", ONE.digest, lambda: restore(system, ONE))
    deleting.delete(system.wiring, SHOP)
    # Only the request of the user deletes it.
    put_in_force(monkeypatch, policy("rules: [{name: all, keep: {last: 9}}]"))
    system.registry.before(method, path, lambda: remove(system, ONE))
    system.later(rounds=5)
    restored = [entry.actor for entry in system.store.history.entries(SHOP) if entry.action == "restored"]
    assert restored == ["pushprune", "alice"]
    assert ONE.digest not in system.registry.manifests(SHOP)


def test_the_manifest_is_deleted_again_if_the_user_deletes_it_right_before_healing_restores_it(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = doomed_without_tag(make_system, ONE)
    system.registry.before("DELETE", ONE.digest, lambda: restore(system, ONE))
    deleting.delete(system.wiring, SHOP)
    put_in_force(monkeypatch, policy("rules: [{name: all, keep: {last: 9}}]"))
    remove(system, ONE)
    with system.store.leases.write(heals=True) as permit:
        assert permit
        assert system.wiring.restore.restore_again(SHOP, ONE.digest, permit)
    system.later(rounds=5)
    assert ONE.digest not in system.registry.manifests(SHOP)


def test_the_manifest_remains_deleted_if_the_user_deletes_it_while_healing_looks_for_it(make_system: Make) -> None:
    system = doomed_without_tag(make_system, ONE)
    system.registry.before("DELETE", ONE.digest, lambda: restore(system, ONE))
    deleting.delete(system.wiring, SHOP)
    system.registry.before("GET", ONE.digest, lambda: remove(system, ONE))
    system.later()
    assert ONE.digest not in system.registry.manifests(SHOP)
    restored = [entry.actor for entry in system.store.history.entries(SHOP) if entry.action == "restored"]
    assert restored == ["alice"]
    assert system.store.outbox.healing() == 0


@pytest.mark.parametrize("tag", ["v1", "v2"])
def test_a_part_of_two_deleted_indexes_is_kept_if_one_of_them_is_restored_before_the_part_is_deleted(
    make_system: Make, tag: str
) -> None:
    system = make_system(policy("rules: [{name: all, keep: {last: 1}}]"))
    indexes = {"v1": index_over([PART, make_image("x")]), "v2": index_over([PART, make_image("y")])}
    for name, index in indexes.items():
        system.registry.push(SHOP, name, index)
    system.push("v3")
    for work in (planning.enforce, deleting.delete, planning.enforce):
        work(system.wiring, SHOP)
    assert PART.digest in {doomed.digest for doomed in system.store.history.doomed(SHOP)}
    system.wiring.restore.restore(SHOP, tag=tag, by="alice")
    deleting.delete(system.wiring, SHOP)
    assert system.pull_whole(tag) == indexes[tag].digest
