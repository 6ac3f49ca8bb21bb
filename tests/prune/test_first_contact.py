"""A registry that is years old: the first clean-up of each repository waits for an approval."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from service.doctor.health import system_health
from service.domain.policy.model import Policy
from service.prune import approvals
from service.reconcile.compare import compare
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.support.policies import Change
from tests.support.system import SHOP, Make, System
from workers.sweep import sweep

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)  # as reproducible builds date their images
NOBODY_TELLS = {"reconcile": {"late": "0s"}}


def first(count: int = 1, **more: Any) -> Policy:
    """Keep the last `count`, with the default for first contact."""
    return keep_last(count, first_plan="hold", **more)


def found(system: System, *tags: str, repository: str = SHOP, created: datetime | None = None) -> None:
    """Let the first comparison find tags that were pushed before pushprune. created: of all their images."""
    system.deaf = True
    for day, tag in enumerate(tags, 1):
        image = make_image(tag, created=created or datetime(2026, 1, day, tzinfo=UTC))
        system.registry.push(repository, tag, image)
    system.deaf = False
    system.missed.clear()
    compare(system.store, system.wiring.registry, system.store.history.snapshot(repository))


def plan(system: System, repository: str = SHOP) -> None:
    system.store.outbox.mark_due([repository])
    system.messages.enforce(repository)
    system.settle()


def reason(system: System, repository: str = SHOP) -> str:
    return system.store.approvals.held(repository) or ""


def test_a_policy_that_does_not_say_otherwise_holds_the_first_clean_up() -> None:
    assert Policy().first_plan == "hold"


def test_the_first_clean_up_of_a_repository_that_was_there_before_waits(make_system: Make) -> None:
    system = make_system(first(), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    plan(system)
    assert system.tags() == {"v1", "v2", "v3"}
    assert reason(system) == (
        "the first clean-up of a repository that was there before pushprune: it would delete 2 of 3 tags"
    )
    system.later()
    system.push("v4")
    system.settle()
    assert system.tags() == {"v1", "v2", "v3", "v4"}
    assert "it would delete 3 of 4 tags" in reason(system)


def test_once_it_is_approved_every_push_is_obeyed_at_once(make_system: Make) -> None:
    system = make_system(first(), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    plan(system)
    assert approvals.approve(system.store, system.wiring.dispatch, SHOP, None, by="alice") == 2
    system.settle()
    assert (system.tags(), reason(system)) == ({"v3"}, "")
    system.push("v4")
    system.settle()
    assert system.tags() == {"v4"}, "v3 was there before, and the first clean-up is over"


def test_a_repository_whose_pushes_were_all_reported_never_waits(make_system: Make) -> None:
    system = make_system(first())
    system.push("v1", "v2", "v3")
    system.settle()
    assert system.tags() == {"v3"}


def test_a_tag_that_was_found_before_its_event_came_counts_as_reported(make_system: Make) -> None:
    """The first comparison of a new repository meets a push whose event is on its way."""
    system = make_system(first())
    system.push("v1", "v2")
    system.deaf = True
    system.push("v3")
    system.settle()
    assert {tag.name: tag.found for tag in system.store.history.live(SHOP)}["v3"]
    system.hear_late()
    system.settle()
    system.later()
    assert (system.tags(), reason(system)) == ({"v3"}, "")


def test_reported_pushes_are_pruned_beside_old_tags_whose_dates_are_not_read_yet(make_system: Make) -> None:
    """The first clean-up has not ended: the old tags follow once their pushes cannot be reported any more."""
    system = make_system(first(), reconcile={"late": "1h"})
    found(system, "old1", "old2")
    system.push("v1", "v2")
    plan(system)
    assert system.tags() == {"old1", "old2", "v2"}
    system.store.history._late_us = 0
    plan(system)
    assert system.tags() == {"old1", "old2", "v2"}
    assert "first clean-up" in reason(system)


def test_a_lease_only_postpones_the_first_clean_up(make_system: Make) -> None:
    system = make_system(first(), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    digests = [system.registry.tags(SHOP)[tag] for tag in ("v1", "v2")]
    system.store.restorations.lease(SHOP, digests, 3600)
    plan(system)
    assert (system.tags(), reason(system)) == ({"v1", "v2", "v3"}, "")
    system.store.connection.client.delete(system.store.connection.keys.of("restored", SHOP))
    plan(system)
    assert system.tags() == {"v1", "v2", "v3"}
    assert "first clean-up" in reason(system)


def test_a_first_plan_that_deletes_nothing_old_is_the_end_of_it(make_system: Make) -> None:
    system = make_system(first(3), **NOBODY_TELLS)
    found(system, "v1", "v2")
    plan(system)
    system.push("v3", "v4")
    system.settle()
    assert (len(system.tags()), reason(system)) == (3, "")


def test_a_policy_that_deletes_nothing_old_approves_no_stricter_one(make_system: Make, change: Change) -> None:
    system = make_system(first(3), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    plan(system)
    for count, tags, waits in ((1, 3, True), (3, 3, False), (2, 3, True)):
        change(system, first(count))
        system.store.history._late_us = 0
        system.later()
        plan(system)
        assert (len(system.tags()), "first clean-up" in reason(system)) == (tags, waits)
    assert approvals.approve(system.store, system.wiring.dispatch, SHOP, None, by="alice") == 1
    system.settle()
    change(system, first(1))
    system.later()
    assert (system.tags(), reason(system)) == ({"v3"}, ""), "the first clean-up was approved"


def test_a_changed_policy_that_waited_approves_no_first_clean_up(make_system: Make, change: Change) -> None:
    bounds = {"hold_over": 10, "hold_min": 1}
    system = make_system(first(7, **bounds), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    plan(system)
    system.push("v4", "v5", "v6", "v7")
    system.settle()
    sweep(system.wiring)
    for count, waits in ((1, "the changed policy"), (7, ""), (6, "the first clean-up")):
        change(system, first(count, **bounds))
        system.store.history._late_us = 0
        system.later()
        plan(system)
        assert (len(system.tags()), reason(system)[: len(waits) or None]) == (7, waits)


@pytest.mark.parametrize("created", [UNDATED, datetime(2024, 5, 5, tzinfo=UTC)])
def test_images_of_unknown_age_wait_for_it_as_well_once_enough_was_pushed(make_system: Make, created: datetime) -> None:
    """The first plan keeps images of unknown age, so that no deletion has been approved by then."""
    system = make_system(first(2), **NOBODY_TELLS)
    found(system, "a", "b", "c", "d", created=created)
    system.later()
    system.push("v1", "v2")
    system.later()
    assert system.tags() == {"a", "b", "c", "d", "v1", "v2"}
    assert reason(system) == (
        "the first clean-up of a repository that was there before pushprune: it would delete 4 of 6 tags"
    )
    assert approvals.approve(system.store, system.wiring.dispatch, SHOP, None, by="alice") == 4
    system.settle()
    assert system.tags() == {"v1", "v2"}
    system.push("v3")
    system.settle()
    assert (system.tags(), reason(system)) == ({"v2", "v3"}, "")


def test_images_of_unknown_age_wait_where_a_storage_that_is_mounted_later_dates_them(on_disk: Make) -> None:
    system = on_disk(first(), **NOBODY_TELLS)
    storage = system.wiring.registry.storage
    system.wiring = replace(system.wiring, registry=replace(system.wiring.registry, storage=None, in_storage=None))
    found(system, "a", "b", "c", created=UNDATED)
    system.later()
    system.wiring = replace(system.wiring, registry=replace(system.wiring.registry, storage=storage))
    compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    plan(system)
    assert system.tags() == {"a", "b", "c"}
    assert "first clean-up" in reason(system)


def test_images_older_than_pushprune_are_not_reported_as_lost_events(make_system: Make) -> None:
    system = make_system(first(2), **NOBODY_TELLS)
    found(system, "a", "b", "c", "d", created=UNDATED)
    system.later()
    assert "unannounced" not in {
        trouble.about
        for trouble in system_health(system.store, system.wiring.registry, system.wiring.policies).troubles
    }


def test_an_image_of_unknown_age_whose_event_comes_late_counts_as_reported(make_system: Make) -> None:
    system = make_system(first(2), **NOBODY_TELLS)
    system.push("v1")
    system.deaf = True
    system.registry.push(SHOP, "v2", make_image("v2", created=UNDATED))
    system.registry.push(SHOP, "v3", make_image("v3", created=UNDATED))
    compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    plan(system)
    system.hear_late()
    system.settle()
    assert (system.tags(), reason(system)) == ({"v2", "v3"}, "")


def test_a_policy_that_says_nothing_of_the_repository_ends_nothing(make_system: Make) -> None:
    other = first(rules=[{"name": "other", "repos": ["other/*"], "keep": "none"}])
    system = make_system(other, **NOBODY_TELLS)
    found(system, "v1", "v2")
    plan(system)
    assert system.store.history.snapshot(SHOP).unapproved is not None


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_ends_no_first_clean_up(make_system: Make, dry_run: bool) -> None:
    system = make_system(first(dry_run=dry_run), **NOBODY_TELLS)
    found(system, "v1", "v2")
    plan(system)
    assert system.tags() == {"v1", "v2"}
    assert system.store.history.snapshot(SHOP).unapproved is not None


def test_the_first_clean_up_does_not_wait_if_the_policy_says_so(make_system: Make) -> None:
    system = make_system(first().model_copy(update={"first_plan": "apply"}), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    plan(system)
    assert (system.tags(), reason(system)) == ({"v3"}, "")


def test_an_old_tag_with_a_time_from_the_storage_waits_as_well(on_disk: Make) -> None:
    system = on_disk(first())
    found(system, "v1", "v2")
    plan(system)
    assert system.tags() == {"v1", "v2"}
    assert "first clean-up" in reason(system)


def test_a_wiped_redis_makes_every_repository_first_again(make_system: Make) -> None:
    system = make_system(first(), **NOBODY_TELLS)
    system.push("v1", "v2")
    system.settle()
    client: Any = system.store.connection.client
    client.delete(*client.keys(f"{system.store.connection.keys.prefix}*"))
    found(system, "v3", "v4")
    plan(system)
    assert system.tags() == {"v2", "v3", "v4"}
    assert "it would delete 2 of 3 tags" in reason(system)


def test_a_manual_deletion_waits_for_no_approval(make_system: Make) -> None:
    system = make_system(first(), **NOBODY_TELLS)
    found(system, "v1", "v2", "v3")
    plan(system)
    digest = {tag.name: tag.digest for tag in system.store.history.live(SHOP)}["v1"]
    assert system.store.manual.request(SHOP, {"v1": digest}, "alice", force=False)
    system.messages.enforce(SHOP)
    system.settle()
    assert system.tags() == {"v2", "v3"}


def test_all_first_clean_ups_are_approved_together(make_system: Make) -> None:
    system = make_system(first(), **NOBODY_TELLS)
    for repository in ("shop/api", "shop/web", "shop/no"):
        found(system, "v1", "v2", repository=repository)
        plan(system, repository)
    (rejected,) = system.store.approvals.holds(["shop/no"])
    approvals.reject(system.store, "shop/no", rejected.plan, by="alice")
    approved = approvals.approve_all(system.store, system.wiring.dispatch, None, by="alice")
    system.settle()
    assert (approved.repositories, approved.images) == (2, 2)
    assert [len(system.tags(name)) for name in ("shop/api", "shop/web", "shop/no")] == [1, 1, 2]
