"""Findings of a hostile reviewer in untagging, restoring and healing: each of these was red."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import requests

from service.clock import now_ms
from service.domain.collection.run import Run
from service.domain.errors import NotRestorable, RegistryRefused, RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.policy.model import Policy
from service.prune import deleting, planning
from service.store.connection import Connection
from tests.conftest import keep_last
from tests.fakes.images import Image, index_over, make_image, make_index
from tests.support.deletions import ago, pruned, shared
from tests.support.makers import policy as policy_of
from tests.support.system import SHOP, Make, System, put_in_force, untag_first

GONE = b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'


def policy(system: System, monkeypatch: Any, new: Policy, name: str = "another") -> None:
    put_in_force(monkeypatch, new, name)
    system.store.outbox.mark_due([SHOP])


def tombstoned(make_system: Make) -> System:
    system = shared(make_system)
    system.registry.fail_next("DELETE", tombstone.FIRST.digest, status=404, body=GONE)
    system.registry.fail_next("DELETE", tombstone.FIRST.digest, status=503)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["v1"] == tombstone.FIRST.digest
    return system


@pytest.mark.parametrize(
    ("image", "method", "path"),
    [(None, "PUT", "manifests/v1"), (make_index("multi"), "GET", "/blobs/")],
    ids=["during its PUT", "between its check and its PUT"],
)
def test_a_push_that_meets_a_restore_wins(make_system: Make, image: Image | None, method: str, path: str) -> None:
    system = pruned(make_system, image)
    got = []
    system.registry.before(method, path, lambda: got.append(system.registry.push_image(SHOP, "v1", seed="users")))
    with suppress(NotRestorable):
        system.wiring.restore.restore(SHOP, tag="v1")
    system.later()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == got[0]


def test_an_unreported_push_between_the_check_and_the_put_of_a_restore_is_not_overwritten(make_system: Make) -> None:
    system = pruned(make_system)
    pushed: list[str] = []

    def push_unheard() -> None:
        system.deaf = True
        pushed.append(system.registry.push_image(SHOP, "v1", seed="users"))

    system.registry.before("GET", "/blobs/", push_unheard)
    with pytest.raises(NotRestorable, match="v1 was pushed again since"):
        system.wiring.restore.restore(SHOP, tag="v1")
    assert system.registry.tags(SHOP)["v1"] == pushed[0]


def test_dry_run_leaves_no_tombstone_and_no_healing_that_never_ends(make_system: Make, monkeypatch: Any) -> None:
    system = tombstoned(make_system)
    policy(system, monkeypatch, keep_last(1, protect=["latest"], dry_run=True))
    system.later(rounds=15)
    assert system.registry.tags(SHOP).get("v1") != tombstone.FIRST.digest
    assert system.store.outbox.healing() == 0


def test_a_hold_leaves_no_tombstone_and_keeps_no_collection_waiting(make_system: Make, monkeypatch: Any) -> None:
    system = tombstoned(make_system)
    policy(system, monkeypatch, keep_last(1, protect=["latest"], hold_over=1, hold_min=0))
    for _ in range(5):
        system.later()
    assert system.store.approvals.holds()
    assert system.registry.tags(SHOP).get("v1") != tombstone.FIRST.digest


def test_a_tombstone_that_users_pushed_over_is_removed(make_system: Make) -> None:
    """The worker ended before it deleted the tombstone, and no tag points at the tombstone any more."""
    system = tombstoned(make_system)
    system.push(*(tag for tag, digest in system.registry.tags(SHOP).items() if digest == tombstone.FIRST.digest))
    system.later()
    assert tombstone.FIRST.digest not in system.registry.manifests(SHOP)


def test_a_collection_in_a_large_clean_up_takes_no_undo_of_what_still_stands(
    make_system: Make, monkeypatch: Any
) -> None:
    untag_first(monkeypatch)
    system = make_system(keep_last(1))
    for n in range(5):
        system.registry.push(SHOP, f"v{n}", make_image(n), at=ago(1) + timedelta(seconds=n))
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    system.registry.fail_next("DELETE", make_image(0).digest, status=503)
    system.registry.fail_next("DELETE", make_image(1).digest, status=503)
    system.registry.fail_next("DELETE", make_image(2).digest, status=503)
    system.registry.fail_next("DELETE", make_image(3).digest, status=503)
    with suppress(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v4"}
    assert len(system.registry.manifests(SHOP)) == 5
    system.store.trash.collected()  # what service.collect.run does right before the sweep
    system.registry.collect()
    system.store.collection_runs.record(Run(now_ms(), now_ms(), "done", "by hand"))
    assert len(system.registry.manifests(SHOP)) == 5
    system.later(rounds=6)  # the digests go now, after the collection
    assert len(system.registry.manifests(SHOP)) == 1
    assert {image.tag for image in system.wiring.restore.deleted(SHOP)} == {"v0", "v1", "v2", "v3"}


def test_an_image_that_lost_only_its_tag_can_be_restored_after_a_collection(
    make_system: Make, monkeypatch: Any
) -> None:
    untag_first(monkeypatch)
    system = make_system(keep_last(1))
    for n in range(3):
        system.registry.push(SHOP, f"v{n}", make_image(n), at=ago(1) + timedelta(seconds=n))
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    for n in range(2):
        system.registry.fail_next("DELETE", make_image(n).digest, status=503)
    with suppress(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    system.store.trash.collected()
    system.registry.collect()
    system.store.collection_runs.record(Run(now_ms(), now_ms(), "done", "by hand"))
    system.later()
    system.wiring.restore.restore(SHOP, tag="v1")
    assert system.registry.tags(SHOP)["v1"] == make_image(1).digest


def test_tag_only_deletions_leave_the_trash_some_day(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["latest"]))
    system.registry.push_image(SHOP, "latest", seed="one")
    for n in range(30):
        system.registry.push_image(SHOP, f"n{n}", seed="one")
        system.push("other")
        system.settle()
    assert system.tags() == {"latest", "other"}
    system.store.trash.drop_before(now_ms() * 1000 + 1000)  # all of it is older than history.trash
    left = system.wiring.restore.deleted(SHOP)
    assert not left


@pytest.mark.usefixtures("complete_pushes")
def test_an_image_that_a_forced_restore_replaced_is_deleted_by_the_policy(make_system: Make) -> None:
    system = make_system(
        Policy.model_validate(
            {"hold_over": 100, "hold_min": 1000, "rules": [{"name": "r", "keep": {"last": 1}, "untagged": "0s"}]}
        )
    )
    system.registry.push(SHOP, "v1", make_image("one"), at=ago(1))
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}
    again = system.registry.push_image(SHOP, "v1", seed="again")
    system.settle()
    system.later()
    system.wiring.restore.restore(SHOP, tag="v1", force=True)
    system.later()
    system.later()
    assert again not in system.registry.manifests(SHOP)


def test_an_image_doomed_for_a_push_that_a_forced_restore_replaced_is_planned_again(make_system: Make) -> None:
    system = make_system(policy_of("rules: [{keep: {last: 1}, count: tags}]"))
    system.registry.push(SHOP, "v1", make_image("one"), at=ago(1))
    system.push("v2")
    system.settle()
    system.registry.push_image(SHOP, "v1", seed="newest")
    planning.enforce(system.wiring, SHOP)
    assert [doomed.tags for doomed in system.store.history.doomed(SHOP)] == [("v2",)]
    system.wiring.restore.restore(SHOP, tag="v1", digest=make_image("one").digest, force=True)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"v1", "v2"}


def test_a_late_event_does_not_undo_force(make_system: Make) -> None:
    system = pruned(make_system)
    system.deaf = True
    system.registry.push_image(SHOP, "v1", seed="again")
    system.wiring.restore.restore(SHOP, tag="v1", force=True)
    system.hear_late()
    system.later()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == make_image("one").digest


def test_a_lost_tag_is_no_trouble_after_its_next_push(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.store.outbox.note_trouble(f"lost {SHOP}:v1", "it was lost, and cannot be put back: push it again")
    system.push("v1")
    system.settle()
    system.later()
    assert not system.store.outbox.troubles()


def test_tags_that_are_deleted_alone_are_counted(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["latest"]))
    for t in ("a", "b", "c", "latest"):
        system.registry.push_image(SHOP, t, seed="one")
    system.push("v2")
    system.settle()
    assert system.tags() == {"latest", "v2"}
    counters = system.store.outbox.counters()
    assert (counters["untagged"], counters["rule last"]) == (3, 3)


def test_a_restore_that_redis_hears_twice_is_told_once(make_system: Make, monkeypatch: Any) -> None:
    system = pruned(make_system)
    conn = type(system.store.connection)
    real = conn.script

    def twice(self: Any, name: str, keys: Any, args: Any) -> Any:
        out = real(self, name, keys, args)
        return real(self, name, keys, args) if name in ("restore", "healed", "untagged") else out

    monkeypatch.setattr(conn, "script", twice)
    system.wiring.restore.restore(SHOP, tag="v1")
    assert len([e for e in system.store.history.entries(SHOP) if e.action == "restored"]) == 1


def test_a_restored_nested_index_is_deleted_whole(make_system: Make) -> None:
    inner = make_index("inner", platforms=2)
    system = pruned(make_system, index_over([make_image("a"), inner, make_image("b")]))
    assert len(system.registry.manifests(SHOP)) == 1
    system.wiring.restore.restore(SHOP, tag="v1", lease_s=0)
    for _ in range(4):
        system.later()
    assert system.tags() == {"v2"}
    assert len(system.registry.manifests(SHOP)) == 1


def test_signatures_of_parts_come_back(make_system: Make) -> None:
    a, b = make_image("a"), make_image("b")
    idx = index_over([a, b])
    sig = f"sha256-{a.digest.removeprefix('sha256:')}.sig"
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", idx)
    system.registry.push_image(SHOP, sig)
    system.push("v2")
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    system.wiring.restore.restore(SHOP, tag="v1")
    assert sig in system.tags()


def test_two_deletions_of_one_tag_are_both_listed(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.registry.push_image(SHOP, "pr-1", seed="one")
    system.push("x1")
    system.settle()
    system.registry.push_image(SHOP, "pr-1", seed="two")
    system.settle()
    system.push("x2")
    system.settle()
    assert system.tags() == {"x2"}
    assert system.store.trash.get(SHOP, make_image("one").digest)
    assert {make_image("one").digest, make_image("two").digest} <= {
        o.digest for o in system.wiring.restore.deleted(SHOP)
    }


def test_deletes_that_were_switched_off_unheard_leave_no_tombstone(make_system: Make) -> None:
    system = shared(make_system)
    system.store.capabilities.note_deletes_tags("1", able=False)
    system.registry.delete_enabled = False  # a restart that is not known yet: our own 304s emit no event
    with suppress(RegistryRefused):
        deleting.delete(system.wiring, SHOP)
    for _ in range(3):
        system.later()
    assert tombstone.FIRST.digest not in system.registry.tags(SHOP).values()


def test_a_collection_ends_the_undo_of_what_was_deleted_while_it_waited(make_system: Make) -> None:
    system = pruned(make_system)
    started = system.wiring.restore.deleted(SHOP)[0].at_us - 1000_000  # started_ms is taken before the wait for writers
    system.store.trash.collected()
    assert system.registry.collect()
    system.store.collection_runs.record(Run(started // 1000, now_ms(), "done", "by hand"))
    assert not system.wiring.restore.deleted(SHOP)


def test_a_collection_that_was_cut_off_ended_the_undo_too(make_system: Make) -> None:
    system = pruned(make_system)
    system.store.trash.collected()
    system.store.collection_runs.record(Run(now_ms(), now_ms(), "postponed", "x", message="pushes"))
    with pytest.raises(NotRestorable) as e:
        system.wiring.restore.restore(SHOP, tag="v1")
    assert "history.trash" not in str(e.value)


def test_a_second_tag_comes_back_while_its_image_stands(make_system: Make) -> None:
    system = make_system(keep_last(1))
    for tag in ("v1", "stable"):
        system.registry.push(SHOP, tag, make_image("one"))
    system.push("v2")
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1")
    system.store.trash.collected()
    system.store.collection_runs.record(Run(now_ms(), now_ms(), "done", "by hand"))
    system.wiring.restore.restore(SHOP, tag="stable")
    assert system.tags() == {"v1", "stable", "v2"}


@pytest.mark.parametrize("tags", [("v1", "w1"), ("v1",)], ids=["shared", "its only tag"])
def test_a_tombstone_over_an_image_that_its_user_deleted_is_removed(
    make_system: Make, monkeypatch: Any, tags: tuple[str, ...]
) -> None:
    system = make_system(keep_last(1))
    system.store.capabilities.note_deletes_tags("1", able=False)
    for tag in tags:
        system.registry.push_image(SHOP, tag, seed="one")
    # Tags are deleted first only if several images are doomed.
    system.registry.push_image(SHOP, "v2")
    system.push("v3")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    untag_first(monkeypatch)
    image = f"{system.registry.url}/v2/{SHOP}/manifests/{system.registry.tags(SHOP)['v1']}"
    system.registry.before("PUT", "manifests/v1", lambda: requests.delete(image))
    system.registry.fail_next("DELETE", tombstone.FIRST.digest, status=404, body=GONE)
    system.registry.fail_next("DELETE", tombstone.FIRST.digest, status=503)
    with suppress(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP).get("v1") == tombstone.FIRST.digest
    for _ in range(6):
        system.later()
    assert tombstone.FIRST.digest not in system.registry.tags(SHOP).values()


def test_a_healing_that_redis_hears_twice_is_told_once(make_system: Make, monkeypatch: Any) -> None:
    system = pruned(make_system)
    system.wiring.restore.restore(SHOP, tag="v1")
    system.registry.storage.delete_manifest(
        SHOP, make_image("one").digest, lambda: None
    )  # a DELETE of ours took it along
    real = Connection.script
    monkeypatch.setattr(
        Connection,
        "script",
        lambda self, name, keys, args: (
            (real(self, name, keys, args), real(self, name, keys, args))[1]
            if name == "healed"
            else real(self, name, keys, args)
        ),
    )
    system.later()
    assert len([e for e in system.store.history.entries(SHOP) if e.action == "healed"]) == 1


def test_a_tag_that_cannot_be_restored_is_a_trouble(make_system: Make) -> None:
    """Neither the registry nor the trash has the image: a log line says so, and `tags` still lists it."""
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    system.settle()
    d = system.registry.tags(SHOP)["v2"]
    system.registry.storage.delete_manifest(SHOP, d, lambda: None)
    system.store.deletions.request_healing(SHOP, ["v2"])
    system.later()
    assert system.store.outbox.troubles() or "v2" not in {t.name for t in system.store.history.live(SHOP)}


def test_force_over_a_live_tag_is_in_the_history(make_system: Make) -> None:
    system = pruned(make_system)
    again = system.registry.push_image(SHOP, "v2", seed="again")
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1", as_tag="v2", force=True)
    snap = system.store.history.snapshot(SHOP)
    assert again in {u.digest for u in snap.untagged} or any(again in r for r in snap.revisions.values())
