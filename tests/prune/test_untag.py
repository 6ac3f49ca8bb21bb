"""Untagging: one tag if its image is kept, all tags first if many images are deleted; and every crash in between."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from service.domain.errors import DeletesDisabled, RegistryUnavailable, TrashUnwritable
from service.domain.oci import tombstone
from service.domain.policy.model import Policy
from service.domain.retention.plan import Doomed
from service.prune import deleting as prune_deleting
from service.prune import planning
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.fakes.pusher import Pusher
from tests.support.deletions import both, many, no_tombstone, one, shared
from tests.support.system import SHOP, Make, System, put_in_force, untag_first

ALL = range(1, 29)


@both
def test_a_tag_whose_image_is_kept_as_another_is_deleted_alone_and_says_why(make_system: Make, version: str) -> None:
    system = shared(make_system, version)
    prune_deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"latest", "v2"}
    system.pull_whole("latest")
    assert system.reasons() == {"v1": "older than the newest (rule last); its image is kept as latest"}
    assert no_tombstone(system)
    assert system.store.history.doomed(SHOP) == ()


@both
def test_the_abilities_of_the_registry_are_found_out_once(make_system: Make, version: str) -> None:
    system = shared(make_system, version)
    prune_deleting.delete(system.wiring, SHOP)
    before = len(system.registry.requests)
    system.registry.push_image(SHOP, "v3", seed="one")
    system.push("v4")
    system.settle()
    assert system.tags() == {"latest", "v4"}
    ours = [(request.method, request.path.rpartition("/")[2]) for request in system.registry.requests[before:]]
    deleted = [reference for method, reference in ours if method == "DELETE" and reference == "v3"]
    assert deleted == (["v3"] if version == "3" else [])


def test_no_tag_is_moved_to_the_tombstone_if_deletes_are_disabled(make_system: Make) -> None:
    system = shared(make_system, fake={"delete_enabled": False})
    system.store.capabilities.note_deletes_tags("1", able=False)
    with pytest.raises(DeletesDisabled):
        prune_deleting.delete(system.wiring, SHOP)
    assert system.registry.count("pushprune/", "PUT") == 0
    system.registry.delete_enabled = True
    system.later()
    assert system.tags() == {"latest", "v2"}


@both
def test_a_tag_that_was_pushed_elsewhere_is_left_alone(make_system: Make, version: str) -> None:
    system = shared(make_system, version)
    system.deaf = True
    pushed = system.registry.push_image(SHOP, "v1", seed="new")
    prune_deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["v1"] == pushed
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == pushed


Cross = Callable[[System, Callable[[], object]], None]
CROSSINGS: dict[str, Cross] = {
    "before the tombstone": lambda system, call: system.registry.before("PUT", "manifests/v1", call),
    "after the tombstone": lambda system, call: system.registry.after("PUT", "manifests/v1", call),
    "in the middle of its DELETE": lambda system, call: system.registry.during_delete(call),
    "after its DELETE": lambda system, call: system.registry.after("DELETE", tombstone.FIRST.digest, call),
}


@pytest.mark.parametrize("late", [False, True], ids=["heard at once", "heard late"])
@pytest.mark.parametrize("seed", ["new", "one"], ids=["another image", "the same image again"])
@pytest.mark.parametrize("crossing", CROSSINGS)
def test_a_push_that_crosses_a_tombstone_wins(make_system: Make, crossing: str, seed: str, late: bool) -> None:
    system = shared(make_system)
    system.store.capabilities.note_deletes_tags("1", able=False)
    pushed: list[str] = []

    def push() -> None:
        system.deaf = late
        pushed.append(system.registry.push_image(SHOP, "v1", seed=seed))
        system.deaf = False

    CROSSINGS[crossing](system, push)
    prune_deleting.delete(system.wiring, SHOP)
    assert pushed, "the crossing was not provoked"
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == pushed[0]
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags()
    assert no_tombstone(system)


@one
def test_the_tags_of_many_images_are_deleted_first(make_system: Make, version: str) -> None:
    system = many(make_system, version)
    prune_deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v149"}
    assert len(system.registry.manifests(SHOP)) == 1
    assert len(system.store.history.entries(SHOP, 1000)) == 150 + 149
    assert no_tombstone(system)
    deletes = system.registry.count("pushprune/", "DELETE")
    # A hundred tags go first, and when 50 are left their digests go at once. On 2.8 a DELETE by tag is tried once, and
    # one of the tombstone shows that deletes are on.
    assert deletes == (100 + 149 if version == "3" else 1 + 1 + 1 + 149)
    assert system.store.outbox.counters()["deleted"] == 149


@pytest.mark.parametrize(
    ("at", "handled"),
    [
        # The first and the last of each kind; the others are like them.
        *(pytest.param(at, True, marks=() if at in (1, 2, 3, 16, 17, 18, 19, 28) else pytest.mark.deep) for at in ALL),
        # The registry is as it was after the request before this one.
        *(pytest.param(at, False, marks=() if at in (1, 2, 17, 18) else pytest.mark.deep) for at in ALL),
    ],
)
def test_an_untag_that_was_interrupted_at_any_step_is_completed(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, at: int, handled: bool
) -> None:
    """Eight times GET and PUT, the tombstone, then each digest. A GET whose answer is lost is asked again."""
    untag_first(monkeypatch)
    system = many(make_system, count=9)
    counted = iter(range(1, 10_000))

    def drop() -> None:
        if next(counted) == at:
            system.registry.drop_connection("*", "manifests/", handled=handled)

    system.registry.before("*", "manifests/", drop, times=None)
    with suppress(RegistryUnavailable):
        prune_deleting.delete(system.wiring, SHOP)
    assert next(counted) > at
    system.later()
    assert system.tags() == {"v8"}
    assert len(system.registry.manifests(SHOP)) == 1
    assert len(system.store.history.entries(SHOP, 1000)) == 9 + 8
    assert no_tombstone(system)


def test_tags_at_a_tombstone_whose_plan_was_dropped_are_restored_where_the_new_plan_keeps_them(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = shared(make_system)
    before = dict(system.registry.tags(SHOP))
    unknown = b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
    system.registry.fail_next("DELETE", tombstone.FIRST.digest, status=404, body=unknown)
    system.registry.fail_next("DELETE", tombstone.FIRST.digest, status=503)
    with pytest.raises(RegistryUnavailable):
        prune_deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["v1"] == tombstone.FIRST.digest
    put_in_force(monkeypatch, keep_last(9))
    system.store.outbox.mark_due([SHOP])
    system.later()
    assert system.registry.tags(SHOP) == before
    assert "v1" in system.reasons("healed")
    assert no_tombstone(system)


def test_a_tombstone_under_an_unknown_tag_is_removed_and_never_adopted(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.deaf = True
    Pusher(system.registry.url).put(SHOP, "left", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    system.missed.clear()
    system.deaf = False
    system.push("v1", "v2", "v3")
    system.settle()
    system.later()
    assert system.tags() == {"v2", "v3"}
    assert no_tombstone(system)


@pytest.mark.parametrize("onto", ["copy", "v2"])
def test_a_tombstone_that_a_user_copied_is_removed_and_never_in_the_history(make_system: Make, onto: str) -> None:
    system = make_system(keep_last(2))
    system.push("v2", "v3")
    before = system.registry.tags(SHOP)
    Pusher(system.registry.url).put(SHOP, onto, tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    system.settle()
    system.later()
    assert system.registry.tags(SHOP) == before
    assert no_tombstone(system)


def test_the_policy_that_doomed_it_must_still_be_in_force(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is not due yet: the file has only just been written."""
    system = many(make_system, count=20)
    put_in_force(monkeypatch, keep_last(50))
    prune_deleting.delete(system.wiring, SHOP)
    assert len(system.tags()) == 20
    system.later()
    assert len(system.tags()) == 20


def test_a_revision_that_a_rule_keeps_loses_only_its_tag(make_system: Make) -> None:
    rules = [
        {"name": "moving", "tags": ["main"], "keep": {"revisions": 1}},
        {"name": "builds", "tags": ["b*"], "keep": {"last": 1}},
    ]
    wanted = Policy.model_validate({"hold_over": 100, "hold_min": 1000, "rules": rules})
    system = make_system(wanted)
    image = make_image("one")
    for tag in ("b1", "main"):
        system.registry.push(SHOP, tag, image)
    system.push("main", "b2")
    system.settle()
    assert system.tags() == {"main", "b2"}
    assert image.digest in system.registry.manifests(SHOP)
    assert system.reasons() == {"b1": "older than the newest (rule builds); its image is kept as a revision of main"}


def test_a_fault_under_one_tag_leaves_no_tombstone_under_the_others(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    untag_first(monkeypatch)
    system = many(make_system, count=9)
    system.registry.fail_next("PUT", "manifests/v3", status=500)
    with pytest.raises(RegistryUnavailable):
        prune_deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v3", "v8"}
    assert system.registry.tags(SHOP)["v3"] != tombstone.FIRST.digest
    system.later()
    assert system.tags() == {"v8"}
    assert len(system.registry.manifests(SHOP)) == 1


def test_a_full_trash_leaves_no_tag_at_the_tombstone(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    untag_first(monkeypatch)
    system = many(make_system, count=9)

    def refuse(_: str, doomed: Doomed, __: object) -> None:
        if doomed.tags == ("v3",):
            raise TrashUnwritable("the trash has no room")

    monkeypatch.setattr(system.store.trash, "_also", refuse)
    with pytest.raises(TrashUnwritable):
        prune_deleting.delete(system.wiring, SHOP)
    assert no_tombstone(system)
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags() >= {"v3", "v8"}
    monkeypatch.undo()
    system.later()
    assert system.tags() == {"v8"}


def test_no_tombstone_is_put_while_the_one_before_is_deleted(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry refuses a DELETE that meets a PUT of the same manifest (measured: 400 or 500)."""
    untag_first(monkeypatch)
    system = many(make_system, count=12, delete={"parallel": 4})
    deleting, put, meeting = threading.Event(), threading.Event(), []

    def clear() -> None:
        deleting.set()
        meeting.append(put.wait(0.5))

    system.registry.before("PUT", "manifests/v", put.set, times=None)
    system.registry.before("GET", "manifests/v1$", lambda: deleting.wait(240))
    system.registry.before("DELETE", tombstone.FIRST.digest, clear)
    prune_deleting.delete(system.wiring, SHOP)
    assert meeting == [False]
    assert system.tags() == {"v11"}


@pytest.mark.parametrize("known", [False, None])
def test_a_collection_waits_for_an_unanswered_delete_of_a_tombstone_that_may_be_left(
    make_system: Make, known: bool | None
) -> None:
    """A DELETE while the collector marks can cost a whole repository (service/README.md)."""
    system = shared(make_system)
    if known is not None:
        system.store.capabilities.note_deletes_tags("1", able=known)
    system.registry.drop_connection("DELETE", tombstone.FIRST.digest)
    with pytest.raises(RegistryUnavailable):
        prune_deleting.delete(system.wiring, SHOP)
    assert system.store.leases.writers() == 1


def test_a_tag_that_was_copied_from_one_at_a_tombstone_is_kept_where_it_was(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    untag_first(monkeypatch)
    system = make_system(keep_last(1, protect=["stable"]))
    system.store.capabilities.note_deletes_tags("1", able=False)
    system.push("stable", "v1", "v2", "v3")
    stable = system.registry.tags(SHOP)["stable"]
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()

    def copy() -> None:
        if system.registry.tags(SHOP)["v1"] == tombstone.FIRST.digest:
            Pusher(system.registry.url).retag(SHOP, "v1", "stable")

    system.registry.before("DELETE", tombstone.FIRST.digest, copy, times=2)
    prune_deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert system.registry.tags(SHOP)["stable"] == stable
    assert "stable" in system.reasons("healed")
    assert no_tombstone(system)
    assert system.store.outbox.troubles() == ()
