"""A changed policy that would delete much more than the one before it waits for an approval."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from service.clock import now_us
from service.domain.errors import StoreUnavailable
from service.domain.policy.model import Policy
from service.domain.retention import change as domain
from service.domain.retention.change import changed
from service.domain.retention.state import State
from service.prune import approvals, planning, policy_change
from service.settings import PolicySource
from service.store.history import CommitResult, History
from service.store.policy_changes import PolicyChanges, PolicyComparison
from service.wiring import Wiring
from tests.support.makers import tag, us
from tests.support.policies import REPOSITORIES, Change, in_force, last, left, three_each
from tests.support.system import SHOP, Make
from workers.sweep import sweep


def test_the_plans_of_a_policy_that_deletes_much_more_in_all_repositories_wait(
    make_system: Make, change: Change
) -> None:
    system = three_each(make_system, last(3))
    change(system, last(1))
    sweep(system.wiring)
    system.settle()
    assert left(system) == [3, 3, 3]
    (hold, *others) = system.store.approvals.holds()
    assert len(others) == 2
    assert hold.reason == (
        "the changed policy would delete 6 of the 9 tags of all repositories, more than hold_over allows; here: "
        "it would delete 2 of 3 tags"
    )
    approvals.approve_all(system.store, system.wiring.dispatch, None, by="alice")
    system.settle()
    assert left(system) == [1, 1, 1]
    system.push("v4")
    system.settle()
    assert (left(system), system.store.approvals.holds()) == ([1, 1, 1], ())


def test_no_plan_is_made_by_it_before_it_was_weighed(make_system: Make, change: Change) -> None:
    """The worker that reads it first is not the one that sweeps."""
    system = three_each(make_system, last(3))
    change(system, last(1))
    system.push("v4")
    system.settle()
    assert left(system) == [4, 3, 3]
    sweep(system.wiring)
    system.later()
    assert left(system) == [4, 3, 3]
    assert len(system.store.approvals.holds()) == 3


def test_many_repositories_are_compared_in_slices_and_each_once(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def noted(states: Iterable[State], *arguments: Any) -> domain.Change:
        known = tuple(states)
        compared.extend(state.repository for state in known)
        return domain.changed(known, *arguments)

    monkeypatch.setattr(policy_change, "changed", noted)
    monkeypatch.setattr(policy_change, "SLICE_S", 0)
    system = three_each(make_system, last(3))
    change(system, last(1))
    for count in range(1, len(REPOSITORIES)):
        sweep(system.wiring)
        assert system.messages.sent == []
        assert (len(compared), system.store.approvals.holds()) == (count, ())
    sweep(system.wiring)
    system.settle()
    assert sorted(compared) == sorted(REPOSITORIES)
    assert left(system) == [3, 3, 3]
    assert "6 of the 9 tags of all repositories" in system.store.approvals.holds()[0].reason
    sweep(system.wiring)
    assert len(compared) == len(REPOSITORIES)


def test_two_workers_that_compare_at_once_count_each_repository_once(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = three_each(make_system, last(3))
    change(system, last(1))

    def compared_beside_another(*arguments: Any) -> domain.Change:
        monkeypatch.setattr(policy_change, "changed", domain.changed)
        sweep(system.wiring)
        return domain.changed(*arguments)

    monkeypatch.setattr(policy_change, "changed", compared_beside_another)
    sweep(system.wiring)
    system.settle()
    assert len(system.store.approvals.holds()) == 3
    assert "6 of the 9 tags of all repositories" in system.store.approvals.holds()[0].reason


def test_two_workers_that_require_the_approvals_at_once_do_not_stop_each_other(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With very many repositories, each of them began again before the other one had finished, for ever."""
    system, require = three_each(make_system, last(3)), PolicyChanges.require_approvals
    change(system, last(1))

    def dies(*_: object) -> None:
        raise StoreUnavailable("it dies")

    def meets_another(*arguments: Any) -> None:
        monkeypatch.setattr(PolicyChanges, "require_approvals", dies)
        with pytest.raises(StoreUnavailable, match="it dies"):
            sweep(system.wiring)
        require(*arguments)

    monkeypatch.setattr(PolicyChanges, "require_approvals", meets_another)
    sweep(system.wiring)
    system.settle()
    assert (in_force(system), left(system), len(system.store.approvals.holds())) == (1, [3, 3, 3], 3)


def test_a_policy_that_another_thread_reads_meanwhile_is_not_compared_as_another_one(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The effect would be that of the policy before: none, so that no approval were required."""
    system = three_each(make_system, last(3))
    digest = PolicySource.digest

    def read_late(source: PolicySource) -> str:
        monkeypatch.setattr(PolicySource, "digest", digest)
        source.use(last(1))
        return source.digest

    monkeypatch.setattr(PolicySource, "digest", property(read_late))
    sweep(system.wiring)
    sweep(system.wiring)
    system.settle()
    assert left(system) == [3, 3, 3]
    assert len(system.store.approvals.holds()) == 3


def test_a_policy_that_deletes_little_more_is_in_force_at_once(make_system: Make, change: Change) -> None:
    system = three_each(make_system, last(3))
    change(system, last(2))
    sweep(system.wiring)
    system.settle()
    assert left(system) == [2, 2, 2]


def test_taking_it_back_ends_what_waited(make_system: Make, change: Change) -> None:
    system = three_each(make_system, last(3))
    for policy in (last(1), last(3)):
        change(system, policy)
        sweep(system.wiring)
        system.settle()
    assert (left(system), system.store.approvals.holds()) == ([3, 3, 3], ())
    system.push("v4")
    system.settle()
    assert left(system) == [3, 3, 3]


def test_taking_it_back_while_repositories_are_made_due_leaves_none_of_them_planned_again_and_again(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.chunks.AT_ONCE", 1)
    monkeypatch.setattr(policy_change, "SLICE_S", -1)
    system = three_each(make_system, last(3))
    change(system, last(2))
    for _ in range(len(REPOSITORIES) + 1):
        sweep(system.wiring)
    comparison = system.store.policy_changes.begin(system.wiring.policies.digest, "")
    assert comparison
    assert comparison.stage == "due"
    change(system, last(3))
    sweep(system.wiring)
    system.later()
    client: Any = system.store.connection.client
    assert client.zcard(system.store.connection.keys.of("due")) == 0
    assert left(system) == [3, 3, 3]


def test_a_second_change_does_not_slip_past_the_first(make_system: Make, change: Change) -> None:
    """Against `keep 2`, which waits, `keep 1` deletes little more; against what was in force it deletes much."""
    system = three_each(make_system, last(3))
    for policy in (last(1), last(1, grace="1s")):
        change(system, policy)
        sweep(system.wiring)
        system.settle()
    system.later()
    assert left(system) == [3, 3, 3]


@pytest.mark.parametrize(
    "kept", [last(1, grace="1h"), Policy.model_validate({"rules": [{"keep": {"pushed_within": "1h"}}]})]
)
def test_a_second_change_that_keeps_the_tags_for_a_while_only_postpones_the_approval(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch, kept: Policy
) -> None:
    system = three_each(make_system, last(3))
    for policy in (last(1), kept):
        change(system, policy)
        sweep(system.wiring)
        system.settle()
    later_us = now_us() + 7200 * 1_000_000
    monkeypatch.setattr(planning, "now_us", lambda: later_us)
    system.later()
    assert left(system) == [3, 3, 3]
    assert len(system.store.approvals.holds()) == 3


@pytest.fixture(params=["planned before the policy is in force", "committed after it"])
def meet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Wiring], None]:
    """meet(worker): a worker that has not read the changed policy yet plans while that policy is put in force."""

    def to(worker: Wiring) -> None:
        put_in_force, commit = PolicyChanges.apply, History.commit

        def apply_late(changes: PolicyChanges, *policy: Any) -> bool:
            applied: list[bool] = []

            def late_commit(history: History, *args: Any) -> CommitResult:
                monkeypatch.setattr(History, "commit", commit)
                applied.append(put_in_force(changes, *policy))
                return commit(history, *args)

            if request.param == "committed after it":
                monkeypatch.setattr(History, "commit", late_commit)
            for repository in REPOSITORIES:
                planning.enforce(worker, repository)
            return any(applied) or put_in_force(changes, *policy)

        monkeypatch.setattr(PolicyChanges, "apply", apply_late)

    return to


def test_a_plan_by_the_policy_before_does_not_end_what_is_about_to_wait(
    make_system: Make, change: Change, meet: Callable[[Wiring], None]
) -> None:
    system = three_each(make_system, last(3))
    meet(system.wiring)
    change(system, last(1))
    sweep(system.wiring)
    for repository in REPOSITORIES:
        system.push("v4", repository=repository)
    system.settle()
    assert left(system) == [4, 4, 4]
    assert len(system.store.approvals.holds()) == 3


@pytest.mark.parametrize("is_changed_back", [False, True])
def test_a_plan_by_the_policy_before_does_not_end_approvals_that_were_just_required(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch, is_changed_back: bool
) -> None:
    """The comparison is complete only if no worker ended it after the approvals were recorded."""
    system = three_each(make_system, last(3))
    worker, require = system.wiring, PolicyChanges.require_approvals

    def require_late(changes: PolicyChanges, comparison: PolicyComparison) -> None:
        monkeypatch.setattr(PolicyChanges, "require_approvals", require)
        require(changes, comparison)
        if is_changed_back:
            sweep(worker)
        for repository in REPOSITORIES:
            planning.enforce(worker, repository)

    monkeypatch.setattr(PolicyChanges, "require_approvals", require_late)
    change(system, last(1))
    sweep(system.wiring)
    sweep(system.wiring)
    system.settle()
    assert left(system) == [3, 3, 3]
    assert len(system.store.approvals.holds()) == 3


@pytest.mark.parametrize("age", [{}, {"older_than": "30d"}])
def test_a_plan_by_the_policy_before_does_not_answer_the_change(
    make_system: Make, change: Change, meet: Callable[[Wiring], None], age: dict[str, str]
) -> None:
    """Without an age, that plan needs no next plan; with one, the next plan is due in a month."""
    system = three_each(make_system, last(3, rules=[{"name": "last", "keep": {"last": 1 if age else 3}, **age}]))
    meet(system.wiring)
    change(system, last(1))
    sweep(system.wiring)
    client: Any = system.store.connection.client
    keys = system.store.connection.keys
    in_a_minute_ms = system.store.connection.now_ms() + 60_000
    assert set(client.zrangebyscore(keys.of("due"), 0, in_a_minute_ms)) == set(REPOSITORIES)
    system.later()
    assert left(system) == [3, 3, 3]
    assert len(system.store.approvals.holds()) == 3


def test_pushes_after_it_are_obeyed_at_once_where_it_deletes_nothing_older(make_system: Make, change: Change) -> None:
    system = three_each(make_system, last(3))
    change(system, last(1))
    sweep(system.wiring)
    system.settle()
    system.push("n1", "n2", repository="shop/new")
    system.settle()
    assert system.tags("shop/new") == {"n2"}


@pytest.mark.parametrize(
    ("before", "after", "removed"),
    [
        (last(3), last(1), 2),
        (last(1), last(1, grace="7s"), 0),
        (last(2), last(1), 1),
        (None, last(1), 2),
        (last(3), last(1, dry_run=True), 0),
        (last(1, dry_run=True), last(1), 0),
    ],
)
def test_only_what_the_policy_before_kept_counts(before: Policy | None, after: Policy, removed: int) -> None:
    state = State(repository="shop/api", tags=tuple(tag(f"v{number}", pushed=number) for number in (1, 2, 3)))
    effect = changed([state, State(repository="shop/no")], before, after, us(99))
    assert (effect.removed, effect.of) == (removed, 3)
    assert effect.repositories == (("shop/api",) if removed else ())


def test_repositories_are_made_due_in_slices_that_the_next_sweep_continues(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one call, 500,000 repositories kept Redis from all other work for 5 s, and their messages were lost."""
    monkeypatch.setattr("service.store.chunks.AT_ONCE", 1)
    system = three_each(make_system, last(3))
    change(system, last(2))
    monkeypatch.setattr(policy_change, "SLICE_S", -1)
    calls = len(REPOSITORIES) * 2 - 1
    for _ in range(calls - 1):
        sweep(system.wiring)
        assert in_force(system) == 3
        assert system.messages.sent == []
    sweep(system.wiring)
    assert in_force(system) == 2
    assert sorted(system.messages.sent) == [("enforce", name) for name in sorted(REPOSITORIES)]


def test_a_repository_whose_entry_in_redis_is_damaged_keeps_no_changed_policy_from_coming_into_force(
    make_system: Make, change: Change
) -> None:
    """Each sweep ended there, and with it all other work that a sweep does."""
    system = three_each(make_system, last(3))
    client: Any = system.store.connection.client
    client.hset(system.store.connection.keys.of("live", SHOP), "v1", "damaged")
    change(system, last(1))
    sweep(system.wiring)
    system.work()
    assert (in_force(system), left(system)) == (1, [3, 1, 1])
