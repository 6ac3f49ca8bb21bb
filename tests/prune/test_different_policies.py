"""Workers that have read different policies, or cannot read their policy file: the policy in force stays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service.doctor.health import different_policies
from service.prune import deleting, planning, policy_change
from service.settings import PolicySource
from service.store.deletions import Deletions
from service.store.history import CommitResult, History
from service.store.policy_changes import PolicyChanges
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.policies import REPOSITORIES, Change, broken, in_force, last, left, three_each
from tests.support.system import SHOP, Make, System
from workers.sweep import sweep
from workers.tick import Tick


def signed(wiring: Wiring, name: str) -> Tick:
    """The tick of a worker that has given its sign of life."""
    worker = Tick(wiring, name, ())
    worker.sign()
    return worker


def ages(system: System, seconds: int) -> None:
    """Let so much time pass without a sign of any worker."""
    client: Any = system.store.connection.client
    key = system.store.connection.keys.of("policy:read")
    for member in client.zrange(key, 0, -1):
        client.zincrby(key, -1000 * seconds, member)


def is_compared(system: System) -> bool:
    client: Any = system.store.connection.client
    return bool(client.exists(system.store.connection.keys.of("policy:comparison")))


def due(system: System) -> int:
    client: Any = system.store.connection.client
    return int(client.zcard(system.store.connection.keys.of("due")))


def compared_until_due(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the changed policy, and make every repository due for it, but do not put it in force yet."""
    with monkeypatch.context() as patch:
        patch.setattr(PolicyChanges, "apply", lambda *_: False)
        sweep(system.wiring)
    assert due(system) == len(REPOSITORIES)
    assert is_compared(system)


def test_while_workers_have_read_different_policies_the_one_in_force_stays(make_system: Make, change: Change) -> None:
    """Each worker put its own policy in force again and again, and deleted by it what the other one kept."""
    system = three_each(make_system, last(3))
    first = Tick(system.wiring, "first@a", ())
    change(system, last(2))
    second = Tick(system.wiring, "second@b", ())
    for _ in range(2):
        for worker in (first, second):
            worker.sign()
            sweep(worker.wiring)
            assert in_force(system) == 3
            system.later()
            assert left(system) == [3, 3, 3]
    assert different_policies(system.store, system.wiring.policies) == (
        "the workers have read different policies: the policy in force stays; with another one, second@b can "
        "neither plan nor delete (a worker that was killed still counts for a minute)",
        "this process has read another policy than the one in force: its pages and previews are not what the workers "
        "delete",
    )
    first.wiring = second.wiring
    first.sign()
    sweep(first.wiring)
    system.later()
    assert in_force(system) == 2
    assert left(system) == [2, 2, 2]
    assert different_policies(system.store, system.wiring.policies) == ()


@pytest.mark.parametrize("by_digest", [False, True])
def test_a_manual_deletion_that_was_interrupted_is_not_undone_by_a_worker_with_another_policy(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch, by_digest: bool
) -> None:
    system = three_each(make_system, last(3))
    first, digest = system.wiring, system.registry.tags(SHOP)["v1"]
    asked = {"v1": digest, digest: digest} if by_digest else {"v1": digest}
    system.store.manual.request(SHOP, asked, "alice")
    planning.enforce(first, SHOP)
    with monkeypatch.context() as patch:
        patch.setattr(Deletions, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            deleting.delete(first, SHOP)
    assert system.tags() == {"v2", "v3"}
    # It drops the plan, and with it the note that the image is deleted.
    system.registry.push_index(SHOP, "v4")
    assert system.store.history.doomed(SHOP) == ()
    change(system, last(2))
    client: Any = system.store.connection.client
    key = system.store.connection.keys.of("heal", SHOP)
    client.zadd(key, dict.fromkeys(client.zrange(key, 0, -1), 1))
    planning.enforce(system.wiring, SHOP)
    assert system.tags() == {"v2", "v3", "v4"}
    assert system.reasons("healed") == {}
    system.wiring = first
    system.later()
    assert system.reasons()["v1"] == "deleted manually by alice"
    assert client.zrange(key, 0, -1) == []


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_comparison_ends_when_a_worker_comes_back_that_has_read_the_policy_in_force(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every repository was planned again and again for 15 minutes."""
    system = three_each(make_system, last(3))
    first = system.wiring
    change(system, last(1))
    signed(system.wiring, "second@b")
    compared_until_due(system, monkeypatch)
    signed(first, "first@a")
    sweep(system.wiring)
    assert not is_compared(system)
    system.wiring = first
    system.later()
    assert (due(system), left(system), system.store.approvals.holds()) == (0, [3, 3, 3], ())


def test_the_approvals_of_a_comparison_that_ended_are_required_again_by_the_next_one(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = three_each(make_system, last(3))
    first = Tick(system.wiring, "first@a", ())
    change(system, last(1))
    second = signed(system.wiring, "second@b")
    compared_until_due(system, monkeypatch)
    first.sign()
    sweep(first.wiring)
    system.wiring = first.wiring
    system.later()
    system.wiring = first.wiring = second.wiring
    first.sign()
    sweep(second.wiring)
    system.later()
    assert (in_force(system), left(system), len(system.store.approvals.holds())) == (1, [3, 3, 3], 3)


def test_a_policy_is_not_put_in_force_once_another_worker_has_read_another_one(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker would still delete by the policy before what the changed policy keeps."""
    system = three_each(make_system, last(3))
    first, apply = system.wiring, PolicyChanges.apply

    def apply_late(*arguments: Any) -> bool:
        signed(first, "first@a")
        return apply(*arguments)

    monkeypatch.setattr(PolicyChanges, "apply", apply_late)
    change(system, last(2))
    sweep(system.wiring)
    assert in_force(system) == 3


def test_nothing_is_doomed_by_the_policy_before_once_a_changed_policy_is_compared(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that wakes up would still delete it while the changed policy, which keeps it, comes into force."""
    system = three_each(make_system, last(2))
    first = system.wiring
    change(system, last(3))
    with monkeypatch.context() as patch:
        patch.setattr(PolicyChanges, "apply", lambda *_: False)
        sweep(system.wiring)
    for repository in REPOSITORIES:
        system.push("v4", repository=repository)
        planning.enforce(first, repository)
        assert system.store.history.doomed(repository) == ()
    sweep(system.wiring)
    assert in_force(system) == 3
    for repository in REPOSITORIES:
        deleting.delete(first, repository)
    assert left(system) == [3, 3, 3]


@pytest.mark.parametrize("is_begun", [False, True])
def test_while_a_changed_policy_is_compared_no_plan_is_made(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch, is_begun: bool
) -> None:
    """is_begun: the plan was made before, and is committed meanwhile."""
    system = three_each(make_system, last(2))
    first, results, commit = system.wiring, list[CommitResult](), History.commit
    change(system, last(3))
    system.push("v4")
    if not is_begun:
        compared_until_due(system, monkeypatch)

    def late_commit(*arguments: Any) -> CommitResult:
        if is_begun and not results:
            with monkeypatch.context() as patch:
                patch.setattr(policy_change, "mark_all_due", lambda *_: None)
                sweep(system.wiring)
        results.append(commit(*arguments))
        return results[-1]

    monkeypatch.setattr(History, "commit", late_commit)
    planning.enforce(first, SHOP)
    assert results == ([CommitResult.STALE] if is_begun else [])
    assert is_compared(system)


def test_a_worker_without_a_policy_does_not_end_what_waits_for_approval(
    make_system: Make, make_wiring: MakeWiring
) -> None:
    """Later pushes made the share of the waiting tags smaller, so that they were deleted without an approval."""
    system = make_system(last(1, hold_min=0))
    system.deaf = True
    system.push("v1", "v2", "v3")
    system.hear_late()
    sweep(system.wiring)
    system.later()
    (hold,) = system.store.approvals.holds()
    wiring = make_wiring(system.registry.url)
    settings = wiring.settings.model_copy(update={"policy": None})
    planning.enforce(replace(wiring, policies=PolicySource(settings)), SHOP)
    assert system.store.approvals.holds() == (hold,)


def test_a_worker_whose_policy_is_not_in_force_leaves_deletions_to_the_others(
    make_system: Make, change: Change
) -> None:
    """This worker had the repository planned again by another one, which sent the same deletions again, for ever."""
    system = three_each(make_system, last(2))
    system.push("v4")
    planning.enforce(system.wiring, SHOP)
    first = system.wiring
    change(system, last(3))
    deleting.delete(system.wiring, SHOP)
    assert system.messages.sent == []
    assert len(system.tags()) == 3
    deleting.delete(first, SHOP)
    assert len(system.tags()) == 2


def test_a_worker_whose_policy_is_not_in_force_decides_about_no_manual_deletion(
    make_system: Make, change: Change
) -> None:
    """The policy in force may protect the tag since."""
    system = three_each(make_system, last(3, protect=["v1"]))
    system.store.manual.request(SHOP, {"v1": system.registry.tags(SHOP)["v1"]}, "alice")
    change(system, last(3))
    system.settle()
    planning.enforce(system.wiring, SHOP)
    assert system.store.history.doomed(SHOP) == ()
    system.settle()
    assert "v1" in system.tags()


def late(system: System) -> None:
    """Redis was away for less than a minute, or the first worker sweeps for that long."""
    ages(system, 50)


def much_later(system: System) -> None:
    """Redis was away for an hour, and the second worker is the first one that comes back."""
    ages(system, 3600)


@pytest.mark.parametrize("meanwhile", [late, much_later])
def test_a_worker_that_has_read_an_older_policy_does_not_put_it_in_force_while_the_others_are_silent(
    make_system: Make, change: Change, meanwhile: Callable[[System], None]
) -> None:
    """The older policy would delete what the one in force keeps."""
    system = three_each(make_system, last(3))
    signed(system.wiring, "first@a")
    change(system, last(2))
    meanwhile(system)
    signed(system.wiring, "second@b")
    sweep(system.wiring)
    system.later()
    assert (in_force(system), left(system)) == (3, [3, 3, 3])


@pytest.mark.parametrize("set_back_s", [0, 3600])
def test_a_changed_policy_waits_for_a_minute_of_signs_for_a_worker_that_was_killed(
    make_system: Make, change: Change, set_back_s: int
) -> None:
    """Of each time without a sign, five seconds count, so that a worker whose sweeps take long gets on, too."""
    system = three_each(make_system, last(3))
    signed(system.wiring, "first@a")
    ages(system, -set_back_s)
    change(system, last(2))
    second = signed(system.wiring, "second@b")
    for _ in range(12):
        ages(system, 20)
        second.sign()
        sweep(second.wiring)
    assert in_force(system) == 2


def test_a_changed_policy_does_not_wait_for_a_worker_that_ended(make_system: Make, change: Change) -> None:
    system, stopping = three_each(make_system, last(3)), Event()
    worker = signed(system.wiring, "first@a")
    stopping.set()
    worker.run(stopping)
    change(system, last(2))
    signed(system.wiring, "first@a")
    sweep(system.wiring)
    assert in_force(system) == 2


def test_a_worker_that_cannot_read_its_policy_file_keeps_no_other_from_putting_theirs_in_force(
    make_system: Make, change: Change, tmp_path: Path
) -> None:
    system = three_each(make_system, last(3))
    signed(broken(system, tmp_path), "first@a")
    change(system, last(2))
    signed(system.wiring, "second@b")
    sweep(system.wiring)
    assert in_force(system) == 2
    (sentence,) = different_policies(system.store, system.wiring.policies)
    assert sentence.startswith("first@a cannot read the policy file")


def test_a_worker_that_cannot_read_its_policy_file_decides_nothing_about_the_policy_of_the_others(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The comparison of a policy that it has not read goes on, and its own policy is not put in force again."""
    system = three_each(make_system, last(3))
    first = signed(broken(system, tmp_path), "first@a")
    monkeypatch.setattr(policy_change, "SLICE_S", 0)
    change(system, last(2))
    second = signed(system.wiring, "second@b")
    for _ in range(len(REPOSITORIES) + 1):
        sweep(second.wiring)
        sweep(first.wiring)
    assert in_force(system) == 2
    system.settle()
    assert left(system) == [2, 2, 2]


def test_a_policy_file_that_is_broken_while_its_policy_is_compared_leaves_the_policy_in_force(
    make_system: Make, change: Change, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The workers planned nothing until the file was corrected, although the previous policy was said to stay."""
    system = three_each(make_system, last(3))
    change(system, last(2))
    compared_until_due(system, monkeypatch)
    system.wiring = broken(system, tmp_path)
    signed(system.wiring, "first@a")
    sweep(system.wiring)
    assert not is_compared(system)
    system.push("v4")
    system.later()
    assert (in_force(system), left(system)) == (3, [3, 3, 3])


def test_the_first_policy_is_in_force_although_workers_have_read_different_ones(
    make_system: Make, change: Change
) -> None:
    """Without a policy in force, each of them would delete by its own."""
    system = make_system(last(3))
    first = system.wiring
    signed(first, "first@a")
    change(system, last(1))
    signed(system.wiring, "second@b")
    sweep(first)
    sweep(system.wiring)
    assert in_force(system) == 3


def test_after_a_loss_of_redis_a_worker_that_cannot_read_its_file_does_not_replace_the_first_policy(
    make_system: Make, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker records its policy at the moment at which this one finds none."""
    system = three_each(make_system, last(3))
    first, begin = broken(system, tmp_path), PolicyChanges.begin
    client: Any = system.store.connection.client
    for key in ("policy", "policy:last"):
        client.delete(system.store.connection.keys.of(key))
    change(system, last(2))

    def begin_late(*arguments: Any, **named: Any) -> object:
        monkeypatch.setattr(PolicyChanges, "begin", begin)
        signed(system.wiring, "second@b")
        sweep(system.wiring)
        return begin(*arguments, **named)

    monkeypatch.setattr(PolicyChanges, "begin", begin_late)
    sweep(first)
    assert in_force(system) == 2
    assert not is_compared(system)
