"""A manual deletion of an index that no worker has read yet: its parts are read first, so that their leases end."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from service.domain.errors import NotDeletable, RegistryUnavailable
from service.domain.retention.selector import TagSelector
from service.prune import manual
from service.prune.deletion_request import DeletionRequest
from service.restore.restoring import LEASE_S
from tests.conftest import keep_last
from tests.fakes.images import Image, index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System

PART = make_image("part")


def resolve(system: System, *names: TagSelector) -> Sequence[DeletionRequest]:
    wiring = system.wiring
    return manual.resolve_requests(wiring.store, wiring.registry, wiring.policies, names)


def request(system: System, resolved: Sequence[DeletionRequest]) -> Sequence[DeletionRequest]:
    wiring = system.wiring
    return manual.request_deletions(wiring.store, wiring.dispatch, wiring.verdicts, resolved, "alice")


def remove(system: System, name: TagSelector) -> None:
    request(system, resolve(system, name))


def unreadable_index() -> Image:
    index = index_over([PART])
    manifest = index.manifest.replace(b'"annotations"', b'"Subject":null,"annotations"')
    return Image(index.media_type, manifest, children=index.children)


def holds_restored_part(make_system: Make, index: Image) -> System:
    """A system in which alice has restored PART as v1, and moved v1 to an index that no worker has read yet."""
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", PART)
    system.push("v2")
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1")
    # The parts are not reported, so that only the index itself says which indexes it lists.
    system.deaf = True
    for part in index.children:
        system.registry.push(SHOP, None, part)
    system.missed.clear()
    system.deaf = False
    Pusher(system.registry.url).put(SHOP, "v1", index.media_type, index.manifest)
    system.messages.sent.clear()
    assert system.store.history.snapshot(SHOP).links[index.digest] is None
    return system


@pytest.mark.parametrize(
    "name", [TagSelector(SHOP, "v1"), TagSelector(SHOP, digest=index_over([PART]).digest)], ids=["by tag", "by digest"]
)
def test_an_index_is_deleted_although_a_part_was_restored(make_system: Make, name: TagSelector) -> None:
    system = holds_restored_part(make_system, index_over([PART]))
    remove(system, name)
    system.later()
    assert system.tags() == {"v2"}
    assert system.registry.manifests(SHOP).keys() == set(system.registry.tags(SHOP).values())


def test_the_parts_of_an_index_in_it_are_read_too(make_system: Make) -> None:
    system = holds_restored_part(make_system, index_over([index_over([PART], seed="inner")], seed="outer"))
    remove(system, TagSelector(SHOP, "v1"))
    system.later()
    assert system.tags() == {"v2"}
    assert PART.digest not in system.registry.manifests(SHOP)


def test_indexes_that_were_not_read_yet_are_read_at_the_same_time(make_system: Make) -> None:
    other = make_image("other part")
    indexes = (index_over([PART]), index_over([other], seed="other"))
    system = holds_restored_part(make_system, indexes[0])
    for part in (other, replace(indexes[1], children=())):
        system.registry.push(SHOP, "v3", part)
    together = threading.Barrier(len(indexes))
    for index in indexes:
        system.registry.before("GET", index.digest, lambda: together.wait(240))
    (wanted,) = resolve(system, TagSelector(SHOP, "v*"))
    assert not together.broken
    assert {index: known.children for index, known in wanted.learnt.items()} == {
        indexes[0].digest: (PART.digest,),
        indexes[1].digest: (other.digest,),
    }


def test_an_unreported_index_is_read_too(make_system: Make) -> None:
    system = holds_restored_part(make_system, index_over([PART]))
    system.deaf = True
    unreported = index_over([PART], seed="unreported")
    system.registry.push(SHOP, "v3", unreported)
    system.missed.clear()
    system.deaf = False
    (request,) = resolve(system, TagSelector(SHOP, "v3"))
    assert request.learnt[unreported.digest].children == (PART.digest,)
    assert PART.digest in request.released


def test_nothing_is_deleted_and_no_lease_ends_if_the_registry_does_not_answer(make_system: Make) -> None:
    index = index_over([PART])
    system = holds_restored_part(make_system, index)
    system.registry.drop_connection("GET", index.digest, times=None)
    with pytest.raises(RegistryUnavailable):
        remove(system, TagSelector(SHOP, "v1"))
    assert system.store.manual.requests(SHOP) == {}
    assert PART.digest in system.store.history.snapshot(SHOP).restored
    assert system.registry.tags(SHOP)["v1"] == index.digest


def test_an_index_that_cannot_be_read_is_kept_with_the_reason(make_system: Make) -> None:
    """The parts of the index are not known, so that the workers delete nothing else in this repository either."""
    system = holds_restored_part(make_system, unreadable_index())
    with pytest.raises(NotDeletable, match="nothing is deleted in this repository while this manifest exists"):
        remove(system, TagSelector(SHOP, "v*"))
    assert PART.digest in system.store.history.snapshot(SHOP).restored


def test_an_unreadable_manifest_stops_the_deletions_of_its_repository_with_a_sentence(make_system: Make) -> None:
    """The events of an artifact about an image are the same as those of an index."""
    system = make_system(keep_last(1))
    unreadable = unreadable_index()
    system.registry.push(SHOP, None, PART)
    Pusher(system.registry.url).put(SHOP, "v1", unreadable.media_type, unreadable.manifest)
    system.push("v2")
    with pytest.raises(RegistryUnavailable, match=f"{unreadable.digest} is an index or an artifact that cannot"):
        system.settle()
    assert system.tags() == {"v1", "v2"}


def test_no_index_is_read_if_nothing_is_leased(make_system: Make) -> None:
    system = make_system(keep_last(9))
    index = index_over([PART])
    system.registry.push(SHOP, "v1", index)
    (request,) = resolve(system, TagSelector(SHOP, "v1"))
    assert not request.learnt
    assert [sent for sent in system.registry.requests if index.digest in sent.path and sent.method == "GET"] == []


@pytest.mark.parametrize("leases_s", [(3600, LEASE_S), (LEASE_S, 3600)], ids=["for longer", "for a shorter time"])
def test_a_restore_after_the_preview_of_a_deletion_keeps_its_image(
    make_system: Make, leases_s: tuple[int, int]
) -> None:
    """The user confirms the deletion of v1 after another one has restored the same image as v3."""
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", PART)
    system.push("v2")
    system.settle()
    restore = system.wiring.restore.restore
    restore(SHOP, tag="v1", lease_s=leases_s[0])
    planned = resolve(system, TagSelector(SHOP, "v1"))
    restore(SHOP, tag="v1", digest=PART.digest, as_tag="v3", lease_s=leases_s[1])
    request(system, planned)
    system.later()
    assert system.registry.tags(SHOP).get("v3") == PART.digest


def test_a_restore_by_digest_right_before_the_deletion_is_recorded_keeps_its_image(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", PART)
    system.push("v2")
    system.settle()
    restore, ask = system.wiring.restore.restore, system.store.manual.request
    restore(SHOP, tag="v1", lease_s=LEASE_S)
    planned = resolve(system, TagSelector(SHOP, "v1"))

    def restore_first(*wanted: Any, **more: Any) -> tuple[str, ...]:
        restore(SHOP, digest=PART.digest, lease_s=3600)
        return ask(*wanted, **more)

    monkeypatch.setattr(system.store.manual, "request", restore_first)
    request(system, planned)
    system.later()
    assert system.pull_whole(PART.digest) == PART.digest


@pytest.mark.parametrize(
    ("pushed", "remaining"),
    [(make_image("newer"), {"v2"}), (PART, {"v1", "v2"})],
    ids=["another image", "the same image"],
)
def test_a_tag_that_is_pushed_before_the_request_keeps_only_the_protection_of_its_own_image(
    make_system: Make, pushed: Image, remaining: set[str]
) -> None:
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", PART)
    system.push("v2")
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1")
    planned = resolve(system, TagSelector(SHOP, "v1"), TagSelector(SHOP, "v2"))
    system.registry.push(SHOP, "v2", pushed)
    (requested,) = request(system, planned)
    assert requested.targets == {"v1": PART.digest}
    system.later()
    assert system.tags() == remaining
