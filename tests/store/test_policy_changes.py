"""A changed policy is in force once its own comparison has ended, whatever a late worker says."""

import pytest

from service.domain.retention.change import Change
from service.store.connection import Connection
from service.store.outbox import Outbox
from service.store.policy_changes import PolicyChanges

FIRST, SECOND, THIRD = "first", "second", "third"
LIFE_S = 15 * 60
NOTHING = Change((), 0, 0)
EFFECT = Change(("a", "b"), 4, 6)


@pytest.fixture
def changes(connection: Connection) -> PolicyChanges:
    """The changes after FIRST was put in force."""
    changes = PolicyChanges(connection, Outbox(connection))
    assert not changes.is_new(FIRST, "{}")
    return changes


def begin(changes: PolicyChanges, policy: str, until: str, effect: Change) -> str:
    """Record the first part of a comparison with the policy in force; return its name."""
    before, _ = changes.in_force()
    return changes.note_comparison(policy, before, until, effect, effect)


def compare(changes: PolicyChanges, policy: str) -> None:
    """Compare a policy over the repositories a and b."""
    assert changes.is_new(policy, policy)
    assert changes.note_compared(begin(changes, policy, "b", EFFECT))


def in_force(changes: PolicyChanges) -> str:
    return next(policy for policy in (FIRST, SECOND, THIRD) if not changes.is_new(policy, policy))


def test_a_policy_is_in_force_once_it_was_compared_and_every_repository_is_due(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    assert changes.mark_due_until(SECOND, ["a", "b"])
    assert changes.note_applied(SECOND, SECOND, "b")
    assert (in_force(changes), changes.last()) == (SECOND, SECOND)


def test_a_policy_is_in_force_although_there_is_no_repository(changes: PolicyChanges) -> None:
    assert changes.note_compared(begin(changes, SECOND, "", NOTHING))
    assert changes.note_applied(SECOND, SECOND, "")
    assert in_force(changes) == SECOND


def test_a_late_worker_does_not_end_the_comparison_of_a_newer_policy(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    changes.mark_due_until(SECOND, ["a", "b"])
    begin(changes, THIRD, "a", EFFECT)
    assert not changes.note_applied(SECOND, SECOND, "b")
    assert changes.comparison(THIRD, FIRST) == ("a", EFFECT)
    assert changes.is_new(SECOND, SECOND)
    assert changes.last() == "{}"


def test_a_late_worker_does_not_apply_a_policy_whose_comparison_began_again(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    changes.mark_due_until(SECOND, ["a", "b"])
    compare(changes, THIRD)
    begin(changes, SECOND, "a", EFFECT)
    assert not changes.note_applied(SECOND, SECOND, "b")
    assert not changes.mark_due_until(SECOND, ["b"])
    assert changes.marked_until(SECOND) is None
    compare(changes, SECOND)
    assert not changes.note_applied(SECOND, SECOND, "b")
    assert changes.marked_until(SECOND) == ""


def test_a_late_worker_does_not_complete_a_comparison_that_began_again(changes: PolicyChanges) -> None:
    name = begin(changes, SECOND, "b", EFFECT)
    assert not changes.is_new(FIRST, "{}")
    assert not changes.note_compared(name)
    begin(changes, SECOND, "b", EFFECT)
    assert not changes.note_compared(name)
    assert changes.marked_until(SECOND) is None


def test_a_comparison_with_a_policy_that_is_no_longer_in_force_does_not_count(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    assert changes.note_applied(SECOND, SECOND, "")
    assert changes.in_force() == (SECOND, SECOND)
    name = changes.note_comparison(THIRD, FIRST, "b", EFFECT, EFFECT)
    assert not changes.note_compared(name)
    assert changes.comparison(THIRD, SECOND) == ("", NOTHING)


def test_a_late_worker_does_not_mark_repositories_in_the_comparison_of_another_policy(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    compare(changes, THIRD)
    assert not changes.mark_due_until(SECOND, ["a"])
    assert (changes.marked_until(SECOND), changes.marked_until(THIRD)) == (None, "")


def test_a_policy_that_another_worker_has_put_in_force_is_not_put_in_force_again(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    changes.mark_due_until(SECOND, ["a", "b"])
    assert changes.note_applied(SECOND, SECOND, "b")
    compare(changes, THIRD)
    changes.mark_due_until(THIRD, ["a", "b"])
    assert changes.note_applied(THIRD, THIRD, "b")
    assert not changes.note_applied(SECOND, SECOND, "b")
    assert in_force(changes) == THIRD


def test_the_comparison_ends_when_the_policy_is_changed_back(changes: PolicyChanges) -> None:
    compare(changes, SECOND)
    changes.mark_due_until(SECOND, ["a"])
    assert not changes.is_new(FIRST, "{}")
    assert changes.comparison(SECOND, FIRST) == ("", NOTHING)
    assert changes.marked_until(SECOND) is None
    assert not changes.note_applied(SECOND, SECOND, "a")


def test_a_comparison_that_no_worker_continues_ends_after_15_minutes(
    changes: PolicyChanges, connection: Connection
) -> None:
    keys = [connection.keys.of(name) for name in ("policy:comparison", "policy:removes")]
    compare(changes, SECOND)
    assert all(0 < connection.client.ttl(key) <= LIFE_S for key in keys)
    for key in keys:
        connection.client.persist(key)
    changes.mark_due_until(SECOND, ["a"])
    assert 0 < connection.client.ttl(keys[0]) <= LIFE_S
