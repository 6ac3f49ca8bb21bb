"""An untag that was started is finished, even if another push or deletion of its tag comes before it is noted."""

from collections.abc import Callable
from typing import Any

import pytest

from service.domain.oci import tombstone
from service.prune import deleting, planning
from service.store.deletions import Deletions
from tests.conftest import keep_last
from tests.fakes.images import make_index
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System, untag_first

both = pytest.mark.parametrize("version", ["2.8", "3"])
DELETES = {"delete": {"parallel": 1}}


class Died(BaseException):
    """A worker's end: no `except Exception` holds it up."""


@pytest.fixture
def cut_off(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], System]:
    """v1 and v2 are untagged, and the worker dies before it notes that; v3 is kept, and no rule says `untagged`."""

    def make(version: str) -> System:
        system = make_system(keep_last(1), version, **DELETES)
        system.push("v1", "v2", "v3")
        doomed(system)
        cut_off_in(system, monkeypatch)
        assert system.tags() == {"v3"}
        return system

    return make


def cut_off_in(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        untag_first(patched)
        patched.setattr(Deletions, "untagged", _die)
        with pytest.raises(Died):
            deleting.delete(system.wiring, SHOP)


def _die(*_: Any) -> None:
    raise Died


def doomed(system: System) -> None:
    """The overflow is doomed; the message about it is lost."""
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    assert system.store.history.doomed(SHOP)


def doom_again(system: System) -> None:
    system.push("v5")
    doomed(system)


def left_of_it(system: System) -> Any:
    """The notes about untags under way."""
    connection = system.store.connection
    return connection.client.hgetall(connection.keys.of("untagging", SHOP))


def image(system: System, tag: str) -> str:
    """The digest that a tag was pushed at first."""
    entries = system.store.history.entries(SHOP)
    return [entry.digest for entry in entries if (entry.action, entry.tag) == ("push", tag)][-1]


def push_elsewhere(system: System, tag: str) -> str:
    return system.registry.push_image(SHOP, tag, seed="elsewhere")


def push_elsewhere_and_hear_late(system: System, tag: str, *, first: str) -> None:
    """The later push, of `first`, is heard first."""
    system.deaf = True
    push_elsewhere(system, tag)
    late, system.missed, system.deaf = system.missed, [], False
    push_elsewhere(system, first)
    system.missed = late
    system.hear_late()


@both
def test_the_image_is_deleted_although_a_user_took_its_tag_over(cut_off: Callable[[str], System], version: str) -> None:
    system = cut_off(version)
    digest = image(system, "v1")
    pushed = push_elsewhere(system, "v1")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {pushed}
    reasons = {entry.digest: entry.reason for entry in system.store.history.entries(SHOP) if entry.action == "pruned"}
    assert reasons[digest] == "its deletion had begun when a user moved or deleted its last tag v1"


@both
def test_the_image_is_deleted_although_an_index_took_its_tag_over(
    cut_off: Callable[[str], System], version: str
) -> None:
    """The push of an index drops the plan; its decision about this tag still counts (seed 771001)."""
    system = cut_off(version)
    index = make_index("elsewhere")
    Pusher(system.registry.url).push(SHOP, "v1", index)
    system.later()
    assert set(system.registry.manifests(SHOP)) == {index.digest, *(child.digest for child in index.children)}


@both
def test_the_image_is_deleted_although_a_restore_took_its_tag_over(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Found by the machine, seed 120111."""
    system = make_system(keep_last(1), version, **DELETES)
    restored = system.registry.push_image(SHOP, "v1")
    system.push("v2")
    system.settle()
    push_elsewhere(system, "v1")
    kept = system.registry.push_image(SHOP, "v3")
    doomed(system)
    cut_off_in(system, monkeypatch)
    system.wiring.restore.restore(SHOP, tag="v1", digest=restored)
    system.later()
    assert set(system.registry.manifests(SHOP)) == {restored, kept}


@both
def test_the_image_can_be_restored(cut_off: Callable[[str], System], version: str) -> None:
    system = cut_off(version)
    digest = image(system, "v1")
    push_elsewhere(system, "v1")
    system.later()
    assert digest in {item.digest for item in system.wiring.restore.deleted(SHOP)}
    system.wiring.restore.restore(SHOP, digest=digest)
    assert digest in system.registry.manifests(SHOP)


@both
def test_the_image_is_deleted_although_the_push_was_reported_after_the_deletion_had_met_it(
    cut_off: Callable[[str], System], version: str
) -> None:
    system = cut_off(version)
    system.deaf = True
    pushed = push_elsewhere(system, "v1")
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.later()
    assert set(system.registry.manifests(SHOP)) == {pushed}


@both
def test_the_image_is_deleted_although_the_next_plan_was_made_in_between(
    cut_off: Callable[[str], System], version: str
) -> None:
    system = cut_off(version)
    kept = system.registry.push_image(SHOP, "v4")
    planning.enforce(system.wiring, SHOP)
    push_elsewhere(system, "v1")
    system.registry.push_image(SHOP, "v4")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {kept}


@both
def test_the_image_is_kept_if_the_plan_was_dropped_before(cut_off: Callable[[str], System], version: str) -> None:
    """The next plan might have kept it; it is then as if the push had come first."""
    system = cut_off(version)
    digest = image(system, "v1")
    Pusher(system.registry.url).push(SHOP, "multi", make_index("multi"))
    push_elsewhere(system, "v1")
    system.later()
    assert digest in system.registry.manifests(SHOP)


@both
def test_the_image_is_kept_if_the_push_came_before_the_deletion_began_and_was_not_reported(
    make_system: Make, version: str
) -> None:
    system = make_system(keep_last(1), version, **DELETES)
    system.push("v1", "v2")
    doomed(system)
    system.deaf = True
    push_elsewhere(system, "v1")
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.later()
    assert image(system, "v1") in system.registry.manifests(SHOP)


@both
def test_the_image_is_kept_if_the_next_plan_keeps_it_and_the_push_was_not_reported(
    cut_off: Callable[[str], System], version: str
) -> None:
    system = cut_off(version)
    Pusher(system.registry.url).delete(SHOP, image(system, "v3"))
    doomed(system)
    system.deaf = True
    push_elsewhere(system, "v2")
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.later()
    assert image(system, "v2") in system.registry.manifests(SHOP)


@both
def test_the_image_is_kept_once_its_tag_was_restored(cut_off: Callable[[str], System], version: str) -> None:
    system = cut_off(version)
    digest = image(system, "v2")
    Pusher(system.registry.url).delete(SHOP, image(system, "v3"))
    system.later()
    assert system.tags() == {"v2"}
    doom_again(system)
    push_elsewhere(system, "v2")
    system.later()
    assert digest in system.registry.manifests(SHOP)


@both
def test_the_image_is_kept_once_its_user_has_pushed_it_again(cut_off: Callable[[str], System], version: str) -> None:
    system = cut_off(version)
    digest = system.registry.push_image(SHOP, "v2")
    assert digest == image(system, "v2")
    doom_again(system)
    push_elsewhere(system, "v2")
    system.later()
    assert digest in system.registry.manifests(SHOP)


@both
def test_an_image_is_deleted_although_users_took_all_its_tags_over(
    make_system: Make, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(keep_last(1), version, **DELETES)
    for tag in ("v1", "v2"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v3", "v4")
    doomed(system)
    cut_off_in(system, monkeypatch)
    push_elsewhere(system, "v1")
    pushed = push_elsewhere(system, "v2")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {pushed}


@both
def test_an_image_of_which_only_a_tag_was_to_be_deleted_is_kept(
    make_system: Make, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(keep_last(1, protect=["latest"]), version, **DELETES)
    for tag in ("v1", "latest"):
        digest = system.registry.push_image(SHOP, tag, seed="one")
    system.push("v2")
    doomed(system)
    cut_off_in(system, monkeypatch)
    push_elsewhere_and_hear_late(system, "latest", first="v1")
    system.later()
    assert digest in system.registry.manifests(SHOP)


@both
def test_the_image_is_deleted_if_the_next_plan_deletes_all_of_it_and_a_user_took_the_tag_over(
    make_system: Make, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the machine: the other tag, which kept the image, was pushed elsewhere meanwhile."""
    system = make_system(keep_last(1, protect=["latest"]), version, **DELETES)
    for tag in ("v1", "latest"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v2")
    doomed(system)
    cut_off_in(system, monkeypatch)
    latest = push_elsewhere(system, "latest")
    doomed(system)
    pushed = system.registry.push_image(SHOP, "v1", seed="two")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {pushed, latest}


def test_the_image_is_deleted_although_users_pushed_both_tags_elsewhere_around_the_tombstone(make_system: Make) -> None:
    """The second push is reported after the next plan, whose recheck finds the tag elsewhere."""
    system = make_system(keep_last(1, protect=["latest"]), **DELETES)
    for tag in ("v1", "latest"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v2")
    doomed(system)

    def push_unheard() -> None:
        system.deaf = True
        push_elsewhere(system, "v1")
        system.deaf = False

    system.registry.before("PUT", "manifests/v1", lambda: system.push("latest"))
    system.registry.after("PUT", "manifests/v1", push_unheard)
    deleting.delete(system.wiring, SHOP)
    doomed(system)
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.later()
    assert set(system.registry.manifests(SHOP)) == set(system.registry.tags(SHOP).values())
    assert system.tags() == {"v1", "latest"}


def test_an_image_moved_to_the_tombstone_is_deleted_although_a_user_deletes_the_tombstone(make_system: Make) -> None:
    """The user resolves the tag between our PUT and our DELETE, and deletes the digest that the registry answers."""
    system = make_system(keep_last(1), **DELETES)
    system.push("v1", "v2", "v3")
    doomed(system)
    system.store.capabilities.note_deletes_tags("1", able=False)
    user = Pusher(system.registry.url)

    def delete() -> None:
        if system.registry.tags(SHOP)["v1"] == system.registry.tags(SHOP)["v2"] == tombstone.FIRST.digest:
            user.delete(SHOP, tombstone.FIRST.digest)

    system.registry.after("PUT", "manifests/v[12]", delete, times=2)
    with pytest.MonkeyPatch.context() as patched:
        untag_first(patched)
        deleting.delete(system.wiring, SHOP)
    system.later()
    assert set(system.registry.manifests(SHOP)) == {image(system, "v3")}
    assert left_of_it(system) == {}


@both
def test_the_parts_of_a_deleted_index_are_deleted_although_its_plan_was_dropped_meanwhile(
    make_system: Make, version: str
) -> None:
    system = make_system(keep_last(1), version, **DELETES)
    user = Pusher(system.registry.url)
    index = user.push(SHOP, "v1", make_index("doomed"))
    system.push("v2")
    doomed(system)
    system.registry.before("DELETE", index, lambda: user.push(SHOP, "v3", make_index("drops the plan")))
    deleting.delete(system.wiring, SHOP)
    assert index not in system.registry.manifests(SHOP)
    pushed = push_elsewhere(system, "v1")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {pushed}
    assert index in {entry.digest for entry in system.store.history.entries(SHOP) if entry.action == "pruned"}


@both
def test_an_image_pushed_again_during_its_deletion_is_not_recorded_as_deleted(make_system: Make, version: str) -> None:
    """Both tags are pushed to other images after that, and the notification of the second push is late."""
    system = make_system(keep_last(2), version, **DELETES)
    digest = system.registry.push_image(SHOP, "v1", seed="one")
    system.push("v2", "v3")
    doomed(system)
    system.registry.meanwhile.append(lambda: system.registry.push_image(SHOP, "v4", seed="one"))
    deleting.delete(system.wiring, SHOP)
    push_elsewhere_and_hear_late(system, "v4", first="v1")
    system.later()
    assert digest in system.registry.manifests(SHOP)


@both
@pytest.mark.parametrize("tags_first", [True, False])
def test_nothing_is_left_of_a_deletion_that_is_noted(
    make_system: Make, version: str, tags_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(keep_last(1), version, **DELETES)
    system.push("v1", "v2", "v3")
    untag_first(monkeypatch, tags_first)
    system.settle()
    assert system.tags() == {"v3"}
    assert left_of_it(system) == {}
