"""Manifests without a tag have no tag to recheck: the losses that a review found, and what prevents them."""

from collections.abc import Callable
from typing import Any

import pytest

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.prune import deleting, planning
from service.reconcile import compare, confirm
from service.settings.reload import PolicySource
from service.store.keys import short
from tests.conftest import keep_last
from tests.fakes.images import Image, index_over, make_image, make_index
from tests.fakes.pusher import Pusher
from tests.support.deletions import ago, moved
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

AT_ONCE = policy("rules: [{name: moving, keep: always, untagged: 0s}]")
DAY = policy("rules: [{name: moving, keep: always, untagged: 24h}]")


def unheard(system: System, call: Callable[[], object]) -> None:
    """A client whose events are not received, or not yet."""
    system.deaf = True
    call()
    system.deaf = False


def put(system: System, tag: str, image: Image) -> None:
    """Point a tag at an image that the registry has."""
    Pusher(system.registry.url).put(SHOP, tag, image.media_type, image.manifest)


def compared(system: System) -> None:
    """Compare the repository first, as any in which images were deleted before."""
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.settle()


def restarted(system: System) -> None:
    """Restart the registry: events that were not delivered yet are lost."""
    system.missed.clear()
    system.registry.notifier.instance = "another"
    system.push("x", repository="other")


def away(system: System, call: Callable[[], object]) -> None:
    """The registry's storage is away for a moment: it shows an empty repository."""
    held = system.registry.storage.repositories.pop(SHOP)
    try:
        with pytest.raises(RegistryRefused, match="the storage of the registry may be empty"):
            call()
    finally:
        system.registry.storage.repositories[SHOP] = held


def old_is_due(system: System, digest: str) -> None:
    """A day passes since this digest lost its tag."""
    client: Any = system.store.connection.client
    field = system.store.connection.keys.of("untagged", SHOP)
    client.hset(field, short(digest), f"{round(ago(25).timestamp() * 1e6)} latest")


@pytest.mark.parametrize("is_late", [True, False])
def test_a_tag_rolled_back_without_an_event_keeps_its_image(make_system: Make, is_late: bool) -> None:
    system = make_system(DAY)
    image = make_image("one")
    first = system.registry.push(SHOP, "latest", image, at=ago(26))
    system.registry.push(SHOP, "latest", make_image("two"), at=ago(23.9))
    system.settle()
    compared(system)
    unheard(system, lambda: put(system, "latest", image))
    old_is_due(system, first)
    system.deaf = True
    system.later()
    assert system.registry.tags(SHOP) == {"latest": first}, "not even for a moment"
    system.missed = system.missed if is_late else []
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP) == {"latest": first}


def test_another_tag_that_took_the_image_without_an_event_keeps_it(make_system: Make) -> None:
    system = make_system(DAY)
    image = make_image("one")
    first = system.registry.push(SHOP, "latest", image, at=ago(26))
    system.registry.push(SHOP, "latest", make_image("two"), at=ago(23.9))
    system.registry.push(SHOP, "prod", make_image("prod"), at=ago(23.9))
    system.settle()
    compared(system)
    unheard(system, lambda: put(system, "prod", image))
    system.missed.clear()
    old_is_due(system, first)
    system.later()
    assert system.registry.tags(SHOP)["prod"] == first
    system.pull_whole("prod")


def test_a_storage_that_is_away_for_one_plan_costs_nothing(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {pushed_within: 100h}, untagged: 0s}]"))
    for number in range(40):
        system.registry.push_image(SHOP, f"v{number}", at=ago(50 - number))
    system.settle()
    system.registry.push_image(SHOP, "old", at=ago(101))
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.messages.sent.clear()
    away(system, lambda: planning.enforce(system.wiring, SHOP))
    system.settle()
    system.later()
    assert {f"v{number}" for number in range(40)} <= system.tags()
    assert len(system.registry.manifests(SHOP)) >= 40


def test_a_storage_that_is_away_for_a_comparison_costs_no_revision(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 2}, untagged: 24h}]"))
    digests = moved(system, 90, 80, 70, 60)
    system.settle()
    compared(system)
    assert set(system.registry.manifests(SHOP)) == set(digests[1:])
    away(system, lambda: compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP)))
    system.settle()
    system.later()
    assert set(system.registry.manifests(SHOP)) == set(digests[1:])


def test_the_revision_that_was_only_found_is_the_last_one_all_the_same(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 1}, untagged: 0s}]"))
    moved(system, 50, 40)
    system.settle()
    unheard(system, lambda: system.registry.push(SHOP, "latest", make_image("found"), at=ago(30)))
    restarted(system)
    compared(system)
    system.push("latest")
    system.settle()
    system.later()
    assert make_image("found").digest in system.registry.manifests(SHOP)


def test_a_rollback_that_was_only_found_costs_no_revision(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 2}, untagged: 0s}]"))
    images = [make_image(number) for number in range(3)]
    for number, image in enumerate(images):
        system.registry.push(SHOP, "latest", image, at=ago(50 - number))
    system.settle()
    unheard(system, lambda: put(system, "latest", images[1]))
    restarted(system)
    compared(system)
    system.later()
    assert set(system.registry.manifests(SHOP)) == {image.digest for image in images}


def test_a_part_pushed_again_without_a_tag_is_given_its_hour(make_system: Make) -> None:
    system = make_system(AT_ONCE)
    part = make_image("part")
    system.registry.push(SHOP, "latest", part, at=ago(50))
    system.messages.sent.clear()
    system.registry.push(SHOP, None, part)
    system.registry.push(SHOP, "latest", make_image("next"))
    system.registry.push(SHOP, None, part)
    system.messages.enforce(SHOP)
    system.settle()
    assert part.digest in system.registry.manifests(SHOP)


def test_many_manifests_without_a_tag_wait_for_approval(make_system: Make) -> None:
    system = make_system(AT_ONCE)
    system.messages.sent.clear()
    moved(system, *(60 - number / 10 for number in range(50)))
    system.messages.sent[:] = [("enforce", SHOP)]
    system.settle()
    (hold,) = system.store.approvals.holds([SHOP])
    assert hold.reason == (
        "it would delete 0 of 1 tags and 49 of 49 manifests without a tag, more than 50% (hold_over)"
    )
    assert len(system.registry.manifests(SHOP)) == 50


def test_an_approved_image_that_is_pushed_again_needs_another_approval(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: {last: 1}}]\nhold_min: 2\nhold_over: 10%"))
    system.push(*(f"v{number}" for number in range(10)))
    system.settle()
    assert system.store.approvals.approve(SHOP) == 9
    system.store.outbox.mark_due([SHOP])
    system.messages.enforce(SHOP)
    system.settle()
    assert system.tags() == {"v9"}
    system.push(*(f"v{number}" for number in range(9)))
    snapshot = system.store.history.snapshot(SHOP)
    assert (len(snapshot.tags), snapshot.approved) == (10, frozenset())


def test_only_the_plan_that_the_user_saw_is_approved(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: {last: 1}}]\nhold_min: 2\nhold_over: 10%"))
    system.push("v1", "v2", "v3", "v4")
    system.settle()
    (seen,) = system.store.approvals.holds([SHOP])
    system.push("v5")
    system.settle()
    assert system.store.approvals.approve(SHOP, seen.plan) == 0
    (now,) = system.store.approvals.holds([SHOP])
    assert system.store.approvals.approve(SHOP, now.plan) == 4


def test_a_lease_may_be_for_ever_and_one_on_a_part_keeps_the_whole(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: last, keep: {last: 1}}]"))
    system.messages.sent.clear()
    part = make_image("part")
    system.registry.push(SHOP, "v1", index_over([part]), at=ago(9))
    client: Any = system.store.connection.client
    client.zadd(system.store.connection.keys.of("leased", SHOP), {part.digest: "+inf"})
    system.push("v2")
    system.settle()
    assert system.tags() == {"v1", "v2"}


def test_a_dry_run_stops_what_was_planned_before(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = make_system(policy("rules: [{keep: {last: 1}}]"))
    system.push("v1", "v2")
    system.messages.sent.clear()
    planning.enforce(system.wiring, SHOP)
    stopped = policy("dry_run: true\nrules: [{keep: {last: 1}}]")
    monkeypatch.setattr(PolicySource, "current", lambda _: stopped)
    system.registry.fail_next("GET", "tags/list", times=None)
    deleting.delete(system.wiring, SHOP)
    with pytest.raises(RegistryUnavailable):
        system.settle()
    assert system.tags() == {"v1", "v2"}
    assert system.store.history.doomed(SHOP) == ()


def test_a_part_is_kept_if_the_second_push_of_its_index_was_not_reported(make_system: Make) -> None:
    """A user deletes the index and pushes it again. Only the event of the deletion of its digest arrives."""
    system, index = make_system(keep_last(1, protect=["latest"])), make_index("index")
    system.registry.push(SHOP, "latest", index)
    compared(system)
    confirm.resolve(system.store, system.wiring.registry, system.store.history.snapshot(SHOP), [index.digest])
    unheard(system, lambda: Pusher(system.registry.url).delete(SHOP, index.digest))
    system.missed = [event for event in system.missed if event["events"][0]["target"].get("digest") == index.digest]
    system.hear_late()
    confirm.resolve(system.store, system.wiring.registry, system.store.history.snapshot(SHOP), [index.digest])
    unheard(system, lambda: Pusher(system.registry.url).push(SHOP, "latest", index))
    compared(system)
    system.registry.push(SHOP, "v1", index_over([index.children[0], make_image("of v1 alone")]))
    system.push("v2")
    system.later()
    assert system.tags() == {"latest", "v2"}
    assert system.pull_whole("latest") == index.digest
