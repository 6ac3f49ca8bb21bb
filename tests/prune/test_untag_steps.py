"""Untagging in steps: while the tombstone of one step is deleted, the next tags are moved to the other."""

from contextlib import ExitStack
from functools import partial

import pytest

from service.domain.errors import RegistryUnavailable
from service.domain.oci.tombstone import FIRST, SECOND
from service.prune import deleting, untag
from service.store.lease import COLLECT
from tests.fakes.registry_storage import Refused
from tests.support.deletions import many, no_tombstone
from tests.support.system import SHOP, Make, System, untag_first
from tests.support.waiting import until


def steps(make_system: Make, monkeypatch: pytest.MonkeyPatch, parallel: int = 4) -> System:
    """Eleven doomed images: the first batch has one step of 4, the second one a step of 4 and one of 3."""
    untag_first(monkeypatch)
    return many(make_system, count=12, delete={"parallel": parallel, "batch_size": 4})


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


def test_while_one_tombstone_is_deleted_tags_are_moved_to_the_other_only(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    moved: list[set[str]] = []

    def meet() -> None:
        before = at(system, FIRST.digest)
        # The first DELETE proves that the registry can do it, and the second one is the end of a batch of one step.
        if len(moved) == 2:
            until(lambda: len(at(system, SECOND.digest)) == 3, "the tags of the next step are moved")
        moved.append(at(system, SECOND.digest))
        assert at(system, FIRST.digest) == before

    system.registry.before("DELETE", FIRST.digest, meet, times=None)
    deleting.delete(system.wiring, SHOP)
    assert [len(tags) for tags in moved] == [0, 0, 3]
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
    """Let the DELETE of a tombstone fail twice during the next step; return the number of tags moved at each DELETE."""
    deletes: list[int] = []

    def meet() -> None:
        deletes.append(len(at(system, SECOND.digest)))
        # The first proves that the registry can do it, and the second one is the end of a batch of one step.
        if len(deletes) in (3, 4):
            system.registry.during_delete(fault)

    system.registry.before("DELETE", FIRST.digest, meet, times=None)
    return deletes


def test_a_tombstone_whose_deletes_met_the_pushes_of_a_step_is_deleted_after_them(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    deletes = deletes_meet_pushes(system)
    deleting.delete(system.wiring, SHOP)
    assert deletes[4:] == [3, 3]
    assert_done(system)


def test_a_fault_of_a_step_leaves_no_tag_of_the_step_before_at_its_tombstone(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch, parallel=1)
    deletes_meet_pushes(system)
    fail_push = partial(system.registry.fail_next, "PUT", "manifests/v", status=500)
    system.registry.after("PUT", "manifests/sha256:", fail_push)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert at(system, FIRST.digest) == at(system, SECOND.digest) == set()
    assert no_tombstone(system)
    system.later()
    assert_done(system)


def test_a_tombstone_that_another_deleted_without_its_tags_is_deleted_again(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    held = system.registry.storage.repositories[SHOP]
    system.registry.before("DELETE", SECOND.digest, lambda: held.manifests.pop(SECOND.digest, None))
    deleting.delete(system.wiring, SHOP)
    assert_done(system)


@pytest.mark.parametrize(("status", "times"), [(500, 2), (503, 1)], ids=["a fault", "the registry is away"])
def test_a_tombstone_that_cannot_be_deleted_stops_no_other_step_and_is_deleted_later(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, status: int, times: int
) -> None:
    system = steps(make_system, monkeypatch)
    system.registry.fail_next("DELETE", SECOND.digest, status=status, times=times)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert len(at(system, SECOND.digest)) == 3
    assert at(system, FIRST.digest) == set()
    system.later()
    assert_done(system)


def test_a_tombstone_that_cannot_be_deleted_leaves_no_tag_at_the_other(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    held = system.registry.storage.repositories[SHOP]

    def refuse() -> None:
        # Not in the first batch.
        if len(system.tags()) < 12 and FIRST.digest in held.manifests:
            system.registry.during_delete(fault)

    system.registry.before("DELETE", FIRST.digest, refuse, times=None)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert len(at(system, FIRST.digest)) == 4
    assert at(system, SECOND.digest) == set()


def test_no_step_begins_once_another_policy_is_in_force(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = steps(make_system, monkeypatch)
    monkeypatch.setattr(untag, "has_policy_in_force", lambda *_: False)
    deleted = iter([True, True, False])
    monkeypatch.setattr(deleting, "has_policy_in_force", lambda *_: next(deleted))
    deleting.delete(system.wiring, SHOP)
    assert len(system.tags()) == 4
    assert no_tombstone(system)


def test_no_step_begins_while_a_collection_waits_for_the_batch(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = steps(make_system, monkeypatch)
    with ExitStack() as collection:
        began = partial(collection.enter_context, system.store.leases.hold(COLLECT))
        # The sixth tag is one of the first step of the second batch.
        pushes = iter(range(1, 100))
        system.registry.after("PUT", "manifests/v", lambda: next(pushes) == 6 and began(), times=None)
        deleting.delete(system.wiring, SHOP)
        assert len(system.tags()) == 4
        assert no_tombstone(system)
    system.later()
    assert_done(system)
