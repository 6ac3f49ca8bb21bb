"""Stale plans: a deletion planned before the state changed is not carried out, however late its message comes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.plan import Plan
from service.domain.retention.selector import TagSelector
from service.prune import deleting, manual, manual_planning, planning
from service.reconcile import compare
from service.settings.reload import PolicySource
from service.store.history import CommitResult
from service.store.lease import COLLECT
from service.store.snapshot import Snapshot
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.makers import event, policy
from tests.support.system import SHOP, Make, System, doomed_system, put_in_force, untag_first


def user_deletes_v2(system: System) -> None:
    Pusher(system.registry.url).delete(SHOP, system.registry.tags(SHOP)["v2"])


def registry_restarts(system: System) -> None:
    """Lose the registry's queue with the push of a second tag to a doomed digest; then push elsewhere.

    Its age is unknown, so that it also keeps the other tag of its image.
    """
    system.deaf = True
    system.registry.push_image(SHOP, "prod", seed=f"{SHOP}:v1")
    system.missed.clear()
    system.deaf = False
    system.registry.notifier.instance = "another"
    system.push("x", repository="other")


def put_policy_in_force(system: System, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PolicySource, "current", lambda _: policy)
    system.store.outbox.mark_due([SHOP])


def test_a_plan_that_waited_for_a_collection_is_not_carried_out_when_it_no_longer_holds(make_system: Make) -> None:
    system = doomed_system(make_system)
    with system.store.leases.hold(COLLECT):
        deleting.delete(system.wiring, SHOP)
        user_deletes_v2(system)
    system.later()
    assert system.tags() == {"v1"}


def test_after_a_restart_of_the_registry_nothing_is_deleted_before_it_is_compared(make_system: Make) -> None:
    system = doomed_system(make_system)
    registry_restarts(system)
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v1", "v2", "prod"}
    system.pull_whole("prod")


def registry_falls_silent(system: System) -> None:
    """A minute passes in which the registry reports nothing."""
    client: Any = system.store.connection.client
    keys = system.store.connection.keys
    snapshot = system.store.history.snapshot(SHOP)
    client.set(keys.of("last_notification"), int(client.get(keys.of("last_notification"))) - 60_000)
    client.hset(keys.of("compared"), SHOP, f"{snapshot.epoch} {snapshot.compared_us - 60_000_000}")


def test_after_a_silence_nothing_is_deleted_by_hand_before_it_is_compared(make_system: Make) -> None:
    """The registry may have restarted, and lost a push: only the next event shows that."""
    system = make_system(keep_last(9))
    system.push("v1", "v2")
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.deaf = True
    system.registry.push_image(SHOP, "v2", seed=f"{SHOP}:v1")
    system.missed.clear()
    system.deaf = False
    registry_falls_silent(system)
    manual.request_deletions(
        system.store,
        system.wiring.dispatch,
        system.wiring.verdicts,
        manual.resolve_requests(
            system.store, system.wiring.registry, system.wiring.policies, [TagSelector(SHOP, "v1")]
        ),
        "alice",
    )
    system.later()
    assert system.registry.tags(SHOP) == {"v2": make_image(f"{SHOP}:v1").digest}
    system.pull_whole("v2")


def test_a_repository_that_was_compared_meanwhile_is_not_compared_again(make_system: Make) -> None:
    system = make_system(keep_last(9))
    system.push("v1", "v2")
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    client: Any = system.store.connection.client
    heard = system.store.connection.keys.of("last_notification")
    client.set(heard, int(client.get(heard)) - 60_000)
    assert system.store.history.snapshot(SHOP).silent_ms < 60_000
    registry_falls_silent(system)
    assert system.store.history.snapshot(SHOP).silent_ms >= 60_000


def test_a_restart_in_the_middle_of_a_deletion_stops_it(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.registry.after("GET", "manifests/v1", lambda: registry_restarts(system))
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v1", "v2", "prod"}
    system.pull_whole("prod")


def test_an_index_pushed_while_it_is_found_missing_keeps_its_children(make_system: Make) -> None:
    system = make_system(keep_last(1))
    child = make_image("child")
    index = index_over([child], seed="index")
    pusher = Pusher(system.registry.url)
    system.registry.push(SHOP, "child", child)
    system.registry.push(SHOP, "multi", index)
    pusher.delete(SHOP, index.digest)
    system.push("v2")
    again: list[str] = []
    system.registry.after(
        "GET", index.digest, lambda: again.append(pusher.put(SHOP, "multi", index.media_type, index.manifest))
    )
    system.settle()
    system.later()
    assert again, "no worker looked for the index"
    pusher.pull_whole(SHOP, "multi")


def test_a_policy_that_keeps_more_voids_what_was_doomed(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = doomed_system(make_system)
    put_policy_in_force(system, keep_last(2), monkeypatch)
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v1", "v2"}


def test_dry_run_stops_a_batch_under_way(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = make_system(keep_last(1), delete={"parallel": 1})
    system.push("v1", "v2", "v3", "v4", "v5")
    planning.enforce(system.wiring, SHOP)
    brake = keep_last(1, dry_run=True)
    system.registry.after("DELETE", "", lambda: put_policy_in_force(system, brake, monkeypatch))
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.registry.count("pushprune/", "DELETE") == 1
    assert len(system.tags()) >= 4


@pytest.mark.parametrize("tags_first", [True, False])
def test_a_batch_ends_once_its_worker_has_read_a_changed_policy(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, tags_first: bool
) -> None:
    untag_first(monkeypatch, tags_first)
    system = make_system(keep_last(1), delete={"parallel": 1})
    system.push("v1", "v2", "v3", "v4", "v5")
    planning.enforce(system.wiring, SHOP)
    system.registry.after("DELETE", "", lambda: put_in_force(monkeypatch, keep_last(9)))
    deleting.delete(system.wiring, SHOP)
    assert len(system.tags()) >= 4


def test_parts_that_several_deleted_indexes_share_are_deleted_although_a_plan_was_made_in_between(
    make_system: Make,
) -> None:
    """The plan sees the other indexes hold the part, and comes to commit when nothing holds it any more."""
    system = make_system(keep_last(1), delete={"parallel": 1})
    shared = make_image("shared")
    for number in range(3):
        system.registry.push(SHOP, f"m{number}", index_over([shared], seed=number))
    system.push("v1")
    planning.enforce(system.wiring, SHOP)
    made: list[Snapshot] = []

    def plan() -> None:
        made.append(system.store.history.snapshot(SHOP))

    # One index is deleted and noted when the next one is rechecked.
    system.registry.after("DELETE", "", lambda: system.registry.after("HEAD", "manifests/m", plan))
    deleting.delete(system.wiring, SHOP)
    assert [untagged.digest for untagged in made[0].untagged] == [shared.digest]
    stale = planner.plan(made[0], keep_last(1), now_us())
    assert system.store.history.commit(made[0], stale, "none") is CommitResult.STALE
    system.later()
    assert set(system.registry.manifests(SHOP)) == set(system.registry.tags(SHOP).values())


def test_a_plan_does_not_commit_over_tags_that_were_untagged_since(make_system: Make) -> None:
    """Only untagged:R knows such manifests, and a commit drops obsolete entries there."""
    system = make_system(keep_last(1))
    for tag in ("v1", "v2"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v3")
    planning.enforce(system.wiring, SHOP)
    system.registry.push_image(SHOP, "v1", seed=f"{SHOP}:v3")
    snapshot = system.store.history.snapshot(SHOP)
    assert len(snapshot.stale_untagged) == 1
    (doomed,) = planner.plan(snapshot, keep_last(1), now_us()).doomed
    assert system.store.history.commit(snapshot, Plan(doomed=(doomed,)), "doomed") is CommitResult.COMMITTED
    system.store.deletions.untagged(SHOP, [(doomed, doomed.verdicts)])
    assert system.store.history.commit(snapshot, Plan(), "none") is CommitResult.STALE


def test_a_signature_that_was_pushed_and_planned_during_the_deletion_of_its_image_is_deleted(make_system: Make) -> None:
    system = doomed_system(make_system)
    digest = system.registry.tags(SHOP)["v1"]

    def sign() -> None:
        system.registry.push_image(SHOP, f"{digest.replace(':', '-')}.sig")
        planning.enforce(system.wiring, SHOP)
        system.messages.sent.clear()

    system.registry.after("GET", "manifests/v1", sign)
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert system.tags() == {"v2"}


USED = policy("rules: [{name: used, keep: {pulled_within: 1d}}]\nhold_over: 100%")


def old_push(make_system: Make, *tags: str) -> System:
    system = make_system(USED)
    system.deaf = True
    for tag in tags:
        system.registry.push_image(SHOP, tag, at=datetime.now(UTC) - timedelta(days=9))
    system.hear_late()
    system.messages.sent.clear()
    return system


def pull(system: System, reference: str, tag: str | None, ago: timedelta = timedelta()) -> None:
    item = event("pull", SHOP, tag, reference, instance=system.registry.notifier.instance)
    item["timestamp"] = (datetime.now(UTC) - ago).isoformat()
    system.hear({"events": [item]})


@pytest.mark.parametrize("by_tag", [True, False])
def test_an_image_pulled_after_it_was_doomed_is_planned_again_before_its_deletion(
    make_system: Make, by_tag: bool
) -> None:
    system = old_push(make_system, "v1", "v2")
    planning.enforce(system.wiring, SHOP)
    assert len(system.store.history.doomed(SHOP)) == 2
    pull(system, system.registry.tags(SHOP)["v1"], "v1" if by_tag else None)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"v1"}


@pytest.mark.parametrize("by_tag", [True, False])
def test_a_plan_does_not_commit_over_a_pull_of_what_it_dooms(make_system: Make, by_tag: bool) -> None:
    system = old_push(make_system, "v1", "v2")
    snapshot = system.store.history.snapshot(SHOP)
    plan = planner.plan(snapshot, USED, now_us())
    pull(system, system.registry.tags(SHOP)["v1"], "v1" if by_tag else None)
    assert system.store.history.commit(snapshot, plan, "doomed") is CommitResult.STALE
    again = system.store.history.snapshot(SHOP)
    assert system.store.history.commit(again, planner.plan(again, USED, now_us()), "doomed") is CommitResult.COMMITTED
    assert [doomed.tags for doomed in system.store.history.doomed(SHOP)] == [("v2",)]


def test_a_plan_does_not_commit_over_a_pull_that_is_reported_after_later_ones(make_system: Make) -> None:
    system = old_push(make_system, "v1", "v2")
    pull(system, system.registry.tags(SHOP)["v2"], "v2")
    snapshot = system.store.history.snapshot(SHOP)
    plan = planner.plan(snapshot, USED, now_us())
    assert [doomed.tags for doomed in plan.doomed] == [("v1",)]
    pull(system, system.registry.tags(SHOP)["v1"], "v1", ago=timedelta(minutes=1))
    assert system.store.history.commit(snapshot, plan, "doomed") is CommitResult.STALE


def test_a_pull_of_something_else_does_not_hold_a_plan_up(make_system: Make) -> None:
    system = old_push(make_system, "v1", "v2")
    snapshot = system.store.history.snapshot(SHOP)
    plan = planner.plan(snapshot, USED, now_us())
    pull(system, "elsewhere", "other")
    assert system.store.history.commit(snapshot, plan, "doomed") is CommitResult.COMMITTED


def test_an_index_with_a_part_that_is_leased_after_it_was_doomed_is_kept(make_system: Make) -> None:
    system = make_system(keep_last(1))
    part = make_image("part")
    outer = index_over([index_over([part], seed="inner")], seed="outer")
    system.registry.push(SHOP, "v1", outer)
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    client: Any = system.store.connection.client
    client.zadd(system.store.connection.keys.of("leased", SHOP), {part.digest: (now_us() // 1000) + 3_600_000})
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"v1", "v2"}


@pytest.mark.parametrize("is_manual", [False, True])
def test_a_policy_that_is_read_while_a_plan_is_made_does_not_count_as_the_one_that_made_it(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, is_manual: bool
) -> None:
    """Another thread of the worker reads the changed policy, which keeps v1, while this one asks the registry."""
    system = make_system(policy=keep_last(10 if is_manual else 1))
    module = manual_planning if is_manual else planning
    asks = module.ensure_compared

    def ask_while_the_policy_changes(*arguments: Any) -> bool:
        answer: bool = asks(*arguments)
        system.wiring.policies.use(keep_last(10, protect=["v1"]))
        return answer

    for tag in ("v1", "v2"):
        system.registry.push_image(SHOP, tag)
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    if is_manual:
        system.store.manual.request(SHOP, {"v1": system.registry.tags(SHOP)["v1"]}, "ann")
    monkeypatch.setattr(module, "ensure_compared", ask_while_the_policy_changes)
    planning.enforce(system.wiring, SHOP)
    assert system.store.history.doomed(SHOP) == ()
    assert system.tags() == {"v1", "v2"}
