"""Untagging in steps: while the tombstone of one step is deleted, more tags are moved to the next tombstone."""

from contextlib import ExitStack
from functools import partial
from unittest.mock import Mock

import pytest

from service.domain.errors import RegistryUnavailable
from service.domain.oci.tombstone import FIRST, TOMBSTONES
from service.prune import deleting, untag
from service.store.lease import COLLECT
from tests.fakes.registry_storage import Refused
from tests.support.deletions import many, no_tombstone
from tests.support.system import SHOP, Make, System, untag_first
from tests.support.waiting import until

SECOND, THIRD = TOMBSTONES[1:]


def steps(make_system: Make, monkeypatch: pytest.MonkeyPatch, parallel: int = 4, size: int = 4) -> System:
    """Eleven doomed images, whose tags are removed in steps of this size."""
    untag_first(monkeypatch)
    system = many(make_system, count=12, delete={"parallel": parallel, "batch_size": size})
    # Until that is known, a batch has one step.
    system.store.capabilities.note_deletes_tags(system.store.history.snapshot(SHOP).restarts, able=False)
    return system


def at(system: System, digest: str) -> set[str]:
    return {tag for tag, current in system.registry.tags(SHOP).items() if current == digest}


def fault() -> None:
    """2.8 has deleted the manifest by then, and answers before it looks at its tags."""
    raise Refused(500, "UNKNOWN", "invalid checksum digest format")


def assert_done(system: System) -> None:
    assert system.tags() == {"v11"}
    assert len(system.registry.manifests(SHOP)) == 1
    assert len(system.store.history.entries(SHOP, 1000)) == 12 + 11
    assert system.store.history.doomed(SHOP) == ()
    assert no_tombstone(system)


def test_while_a_tombstone_is_deleted_tags_are_moved_to_the_others_only(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch, size=2)
    deletes: list[set[str]] = []

    def meet() -> None:
        deletes.append(at(system, FIRST.digest))
        # The first DELETE proves that the registry can do it. The fourth step has to wait for this tombstone.
        if len(deletes) == 2:
            until(lambda: len(system.tags()) == 12 - 4 - 3, "the tags of four other steps are deleted")
            assert at(system, FIRST.digest) == deletes[-1]

    system.registry.before("DELETE", FIRST.digest, meet, times=None)
    deleting.delete(system.wiring, SHOP)
    assert [len(tags) for tags in deletes] == [0, 2, 2]
    assert_done(system)


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_tombstone_whose_delete_met_a_push_is_deleted_again_with_its_tags(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, parallel: int
) -> None:
    system = steps(make_system, monkeypatch, parallel)
    system.registry.after("PUT", "manifests/v1$", lambda: system.registry.during_delete(fault))
    deleting.delete(system.wiring, SHOP)
    assert system.registry.count("pushprune/", "PUT", "manifests/sha256:") == 1
    assert_done(system)


def deletes_meet_pushes(system: System) -> list[int]:
    """Let the DELETE of the first tombstone fail twice; return the number of tags at the second one at each DELETE."""
    deletes: list[int] = []

    def meet() -> None:
        # The first DELETE proves that the registry can do it.
        if len(deletes) == 1:
            until(lambda: at(system, SECOND.digest) or len(system.tags()) < 12, "the next step is under way")
        deletes.append(len(at(system, SECOND.digest)))
        if len(deletes) in (2, 3):
            system.registry.during_delete(fault)

    system.registry.before("DELETE", FIRST.digest, meet, times=None)
    return deletes


def test_a_tombstone_whose_deletes_met_pushes_is_deleted_once_no_step_is_under_way(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fourth step waits for the tombstone of the first one.
    system = steps(make_system, monkeypatch, size=2)
    deletes = deletes_meet_pushes(system)
    deleting.delete(system.wiring, SHOP)
    assert deletes[3] in (0, 2)
    assert_done(system)


def fail_sixth_push(system: System) -> None:
    """Let the push of one tag fail that is of the second step."""
    pushes = iter(range(1, 100))
    fail_push = partial(system.registry.fail_next, "PUT", "manifests/v", status=500)
    system.registry.after("PUT", "manifests/v", lambda: next(pushes) == 5 and fail_push(), times=None)


def test_a_fault_of_a_step_leaves_no_tag_of_another_step_at_its_tombstone(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    deletes_meet_pushes(system)
    fail_sixth_push(system)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert all(at(system, stone.digest) == set() for stone in TOMBSTONES)
    assert no_tombstone(system)
    system.later()
    assert_done(system)


def test_a_step_that_waits_for_a_failed_step_does_not_begin(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # The sixth step waits for the tombstone of the third one, which fails.
    system = steps(make_system, monkeypatch, size=2)
    names = [doomed.tags[0] for doomed in system.store.history.doomed(SHOP)]
    rest = {"v11", names[4], names[10]}

    def others_are_moved() -> bool:
        return all(name in rest or digest == THIRD.digest for name, digest in system.registry.tags(SHOP).items())

    system.registry.before("PUT", f"manifests/{names[4]}$", lambda: until(others_are_moved, "the others are moved"))
    system.registry.fail_next("PUT", f"manifests/{names[4]}$", status=500)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert system.tags() == rest
    assert no_tombstone(system)
    system.later()
    assert_done(system)


def test_a_tombstone_that_another_deleted_without_its_tags_is_deleted_again(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    held = system.registry.storage.repositories[SHOP]
    system.registry.before("DELETE", TOMBSTONES[1].digest, lambda: held.manifests.pop(TOMBSTONES[1].digest, None))
    deleting.delete(system.wiring, SHOP)
    assert_done(system)


@pytest.mark.parametrize(("status", "times"), [(500, 4), (503, 1)], ids=["a fault", "the registry is away"])
def test_a_tombstone_that_cannot_be_deleted_is_deleted_later(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, status: int, times: int
) -> None:
    system = steps(make_system, monkeypatch)
    system.registry.fail_next("DELETE", SECOND.digest, status=status, times=times)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert len(at(system, SECOND.digest)) == 4
    system.later()
    assert_done(system)


def test_a_tombstone_that_cannot_be_deleted_leaves_no_tag_at_the_others(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    held = system.registry.storage.repositories[SHOP]

    def refuse() -> None:
        if FIRST.digest in held.manifests:
            until(lambda: at(system, SECOND.digest) or len(system.tags()) < 12, "the next step is under way")
            system.registry.during_delete(fault)

    system.registry.before("DELETE", FIRST.digest, refuse, times=None)
    fail_sixth_push(system)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert len(at(system, FIRST.digest)) == 4
    assert at(system, SECOND.digest) == at(system, THIRD.digest) == set()


def test_no_step_begins_once_a_batch_takes_too_long(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = steps(make_system, monkeypatch)
    monkeypatch.setattr(untag, "BATCH_S", 0.0)
    monkeypatch.setattr(deleting, "_delete_batch", batches := Mock(wraps=deleting._delete_batch))
    deleting.delete(system.wiring, SHOP)
    assert [len(call.args[2]) for call in batches.call_args_list if call.kwargs["step"]] == [11, 7, 3]
    assert_done(system)


@pytest.mark.parametrize("size", [1, 4])
def test_no_step_begins_once_another_policy_is_in_force(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    system = steps(make_system, monkeypatch, size=size)
    monkeypatch.setattr(untag, "has_policy_in_force", lambda *_: False)
    deleted = iter([True, False])
    monkeypatch.setattr(deleting, "has_policy_in_force", lambda *_: next(deleted))
    deleting.delete(system.wiring, SHOP)
    assert len(system.tags()) == 12 - size
    assert no_tombstone(system)


def test_no_step_begins_while_a_collection_waits_for_the_batch(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch, parallel=1)
    with ExitStack() as collection:
        began = partial(collection.enter_context, system.store.leases.hold(COLLECT))
        pushes = iter(range(1, 100))
        system.registry.after("PUT", "manifests/v", lambda: next(pushes) == 2 and began(), times=None)
        deleting.delete(system.wiring, SHOP)
        assert len(system.tags()) == 8
        assert no_tombstone(system)
    system.later()
    assert_done(system)
