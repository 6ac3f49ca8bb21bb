"""Pushes that the registry reports late, after an outage of pushprune, are obeyed as if reported at once."""

import pytest

from service.domain.policy.model import Policy
from service.prune import planning
from tests.conftest import MakeWiring, keep_last
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

MANY = [f"b{number}" for number in range(1, 13)]
LAST_3 = keep_last(3, hold_over=50, hold_min=2)


def planned(make_system: Make, rules: Policy = LAST_3) -> System:
    """A repository whose pushes were obeyed one by one until pushprune was away."""
    system = make_system(rules)
    for tag in ("v1", "v2", "v3", "v4"):
        system.push(tag)
        system.settle()
    system.deaf = True
    return system


def hold(system: System) -> str | None:
    return system.store.approvals.held(SHOP)


def test_a_backlog_is_no_hold(make_system: Make) -> None:
    system = planned(make_system)
    system.push(*MANY)
    system.hear_late()
    system.settle()
    assert (hold(system), system.tags()) == (None, {"b10", "b11", "b12"})


def test_a_push_in_the_middle_of_the_deletions_makes_it_no_hold(make_system: Make) -> None:
    system = planned(make_system)
    system.push(*MANY)
    system.hear_late()
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    system.push("b13")
    system.settle()
    assert (hold(system), system.tags()) == (None, {"b11", "b12", "b13"})


@pytest.mark.usefixtures("complete_pushes")
def test_overwritten_images_of_a_backlog_are_no_hold(make_system: Make) -> None:
    rules = policy("rules: [{keep: {last: 3}, untagged: 0s}]\nhold_over: 50%\nhold_min: 2")
    system = planned(make_system, rules)
    for number in range(12):
        system.registry.push_image(SHOP, "v4", seed=f"build {number}")
    system.hear_late()
    system.settle()
    assert hold(system) is None
    assert len(system.registry.storage.repositories[SHOP].manifests) == 3


def test_a_deletion_that_a_backlog_does_not_explain_still_waits(make_system: Make) -> None:
    """A push explains one deletion, not the four that a stricter policy makes of it."""
    system = planned(make_system, keep_last(4, hold_over=50, hold_min=2))
    system.push("b1")
    system.hear_late()
    plan = system.wiring.verdicts.plan(SHOP, keep_last(1, hold_over=50, hold_min=2))
    assert plan.hold == "it would delete 4 of 5 tags, more than 50% (hold_over)"


def test_pushes_that_a_plan_has_decided_about_explain_no_later_deletion(make_system: Make) -> None:
    system = planned(make_system, keep_last(20, hold_over=50, hold_min=2))
    system.push(*MANY)
    system.hear_late()
    system.settle()
    assert system.wiring.verdicts.plan(SHOP, LAST_3).hold is not None


def test_pushes_of_a_dry_run_explain_no_later_deletion(make_system: Make, make_wiring: MakeWiring) -> None:
    system = planned(make_system)
    system.wiring = make_wiring(system.registry.url, LAST_3.model_copy(update={"dry_run": True}))
    system.push(*MANY)
    system.hear_late()
    system.settle()
    assert system.wiring.verdicts.plan(SHOP, LAST_3).hold is not None


def test_pushes_without_a_policy_explain_no_later_deletion(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = planned(make_system)
    monkeypatch.setattr(system.wiring.policies, "current", lambda: None)
    system.push(*MANY)
    system.hear_late()
    system.settle()
    assert system.wiring.verdicts.plan(SHOP, LAST_3).hold is not None
