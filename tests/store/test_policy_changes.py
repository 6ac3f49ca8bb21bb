"""A changed policy is in force once its own comparison has ended, whatever a late worker says."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.retention.change import Change
from service.store.connection import Connection
from service.store.policy_changes import PolicyChanges, PolicyComparison

FIRST, SECOND, THIRD = "first", "second", "third"
LIFE_S = 15 * 60
EFFECT = Change(("a", "b"), 4, 6)


@pytest.fixture
def changes(connection: Connection) -> PolicyChanges:
    """The changes after FIRST was put in force."""
    changes = PolicyChanges(connection)
    assert changes.begin(FIRST, FIRST) is None
    return changes


def begin(changes: PolicyChanges, policy: str) -> PolicyComparison:
    comparison = changes.begin(policy, policy)
    assert comparison
    return comparison


def note(
    changes: PolicyChanges, comparison: PolicyComparison, effect: Change = EFFECT, **fields: Any
) -> PolicyComparison:
    noted = changes.note(replace(comparison, **fields), effect)
    assert noted
    return noted


def compare(changes: PolicyChanges, policy: str) -> PolicyComparison:
    """Compare a policy over the repositories a and b, and make them due."""
    return note(changes, note(changes, begin(changes, policy), cursor="b"), Change((), 0, 0), stage="due")


def unapproved(connection: Connection) -> set[str]:
    fields: Any = connection.redis.hkeys(connection.keys.of("unapproved"))
    return set(fields)


def assert_ended(changes: PolicyChanges, comparison: PolicyComparison, connection: Connection) -> None:
    """A worker that still has this comparison can change nothing."""
    assert changes.note(replace(comparison, cursor="z"), EFFECT) is None
    assert not changes.apply(comparison, comparison.stage)
    before = unapproved(connection)
    changes.require_approvals(replace(comparison, removed=99))
    assert unapproved(connection) == before


def test_a_policy_is_in_force_once_it_was_compared_and_every_repository_is_due(changes: PolicyChanges) -> None:
    comparison = compare(changes, SECOND)
    assert (comparison.removed, comparison.of) == (4, 6)
    assert changes.apply(comparison, SECOND)
    assert (changes.in_force(), changes.last()) == (SECOND, SECOND)
    assert changes.begin(SECOND, SECOND) is None


def test_another_worker_continues_a_comparison(changes: PolicyChanges, connection: Connection) -> None:
    note(changes, begin(changes, SECOND), Change(("a",), 1, 2), cursor="a")
    comparison = note(changes, begin(changes, SECOND), Change(("b",), 2, 3), cursor="b")
    assert begin(changes, SECOND) == comparison
    assert (comparison.cursor, comparison.removed, comparison.of) == ("b", 3, 5)
    changes.require_approvals(comparison)
    assert unapproved(connection) == {"a", "b"}


def test_a_first_clean_up_that_waits_stays_one_and_one_that_a_policy_settled_does_not(
    changes: PolicyChanges, connection: Connection
) -> None:
    client: Any = connection.redis
    key = connection.keys.of("unapproved")
    client.hset(key, mapping={"a": "5 first", "b": "5 first 0123456789ab"})
    changes.require_approvals(note(changes, begin(changes, SECOND), Change(("a", "b"), 2, 3), cursor="b"))
    assert client.hget(key, "a") == "5 first"
    assert client.hget(key, "b").endswith(" policy 2 3 5")


def test_a_late_worker_changes_nothing_of_a_comparison_that_another_worker_has_continued(
    changes: PolicyChanges, connection: Connection
) -> None:
    late = note(changes, begin(changes, SECOND), cursor="b")
    comparison = note(changes, begin(changes, SECOND), Change((), 0, 0), stage="due", cursor="")
    assert_ended(changes, late, connection)
    assert begin(changes, SECOND) == comparison


@pytest.mark.parametrize("then", [(THIRD,), (THIRD, SECOND), (FIRST,), (FIRST, SECOND)])
def test_a_late_worker_changes_nothing_of_a_newer_comparison(
    changes: PolicyChanges, connection: Connection, then: tuple[str, ...]
) -> None:
    """The policy was changed again, or changed back, and back once more."""
    late = compare(changes, SECOND)
    for policy in then:
        newer = changes.begin(policy, policy)
    assert_ended(changes, late, connection)
    assert changes.begin(then[-1], then[-1]) == newer
    if newer:
        assert (newer.stage, newer.cursor, newer.removed, newer.of) == ("compare", "", 0, 0)
        assert_ended(changes, late, connection)
    assert changes.last() == FIRST


def test_a_newer_comparison_does_not_require_approvals_for_an_earlier_one(
    changes: PolicyChanges, connection: Connection
) -> None:
    compare(changes, SECOND)
    changes.require_approvals(note(changes, begin(changes, THIRD), Change(("c",), 9, 9), cursor="c"))
    assert unapproved(connection) == {"c"}


def test_a_policy_is_not_in_force_before_every_repository_is_due(changes: PolicyChanges) -> None:
    assert not changes.apply(note(changes, begin(changes, SECOND), cursor="b"), SECOND)
    assert changes.in_force() == FIRST


def test_a_policy_that_was_compared_with_another_one_than_that_in_force_is_not_put_in_force(
    changes: PolicyChanges, connection: Connection
) -> None:
    comparison = compare(changes, SECOND)
    # As a backup does that is imported.
    connection.redis.set(connection.keys.of("policy"), THIRD)
    assert not changes.apply(comparison, SECOND)
    assert begin(changes, SECOND).stage == "compare"


def test_a_policy_that_another_worker_has_put_in_force_is_not_put_in_force_again(
    changes: PolicyChanges, connection: Connection
) -> None:
    late = compare(changes, SECOND)
    assert changes.apply(late, SECOND)
    assert changes.apply(compare(changes, THIRD), THIRD)
    assert_ended(changes, late, connection)
    assert changes.in_force() == THIRD


def test_a_comparison_that_no_worker_continues_ends_after_15_minutes(
    changes: PolicyChanges, connection: Connection
) -> None:
    key, client = connection.keys.of("policy:comparison"), connection.client
    comparison = begin(changes, SECOND)
    assert 0 < client.ttl(key) <= LIFE_S
    client.persist(key)
    note(changes, comparison, cursor="a")
    assert 0 < client.ttl(key) <= LIFE_S


def test_the_last_policy_that_a_worker_has_read_counts_while_the_worker_runs(
    changes: PolicyChanges, connection: Connection
) -> None:
    for worker, policy in (("a 1", FIRST), ("b 1", FIRST), ("a 1", SECOND), ("a 2", FIRST)):
        changes.note_read(worker, policy)
    assert changes.read_by() == {"a 1": SECOND, "b 1": FIRST, "a 2": FIRST}
    connection.redis.zadd(connection.keys.of("policy:read"), {f"b 1 {FIRST}": connection.now_ms() - 61_000})
    assert changes.read_by() == {"a 1": SECOND, "a 2": FIRST}
    changes.note_read("a 10", FIRST)
    assert connection.redis.zcard(connection.keys.of("policy:read")) == 3
    changes.forget_reader("a 1")
    assert changes.read_by() == {"a 2": FIRST, "a 10": FIRST}
