"""A repository that has been empty for long is forgotten, and never while anything of it exists."""

from collections.abc import Callable
from typing import Any

import pytest

from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.history import CommitResult, History
from tests.support.record import NOW, digest, event, record, user_delete

SHOP = "shop/api"


@pytest.fixture
def emptied(connection: Connection) -> History:
    """A repository whose only image was pushed and deleted by a user, and that was planned since."""
    history = History(connection)
    record(history, event(1, seed="x"), event(4, "delete", None, "x", media_type=""), user_delete(5, "v1"))
    history.commit(history.snapshot(SHOP), Plan(), "none")
    return history


def left(connection: Connection) -> set[str]:
    """All entries about the repository, by name or in a table of all repositories."""
    client: Any = connection.client
    named = {key for key in client.scan_iter(match=f"{connection.keys.prefix}*") if key.endswith(f":{SHOP}")}
    named |= {table for table in ("generation", "compared") if client.hexists(connection.keys.of(table), SHOP)}
    return named | ({"unconfirmed"} if client.sismember(connection.keys.of("unconfirmed"), SHOP) else set())


def test_a_repository_that_was_empty_for_long_leaves_nothing(emptied: History, connection: Connection) -> None:
    assert emptied.retire(0) == (SHOP,)
    assert left(connection) == set()
    assert emptied.repositories() == ()


def test_a_repository_is_not_forgotten_soon_after_its_last_news(emptied: History, connection: Connection) -> None:
    before = left(connection)
    assert emptied.retire(60) == ()
    assert left(connection) == before


def push(history: History, _: Connection) -> None:
    record(history, event(9, seed="new"))


def push_without_a_tag(history: History, _: Connection) -> None:
    record(history, event(9, tag=None, seed="new"))


def can_be_restored(history: History, connection: Connection) -> None:
    connection.client.hset(connection.keys.of("deleted", SHOP), "v1", "x")


def is_to_be_healed(history: History, connection: Connection) -> None:
    connection.client.zadd(connection.keys.of("heal", SHOP), {"v1": 1})


@pytest.mark.parametrize("happen", [push, push_without_a_tag, can_be_restored, is_to_be_healed])
def test_a_repository_of_which_anything_is_left_is_not_forgotten(
    emptied: History, connection: Connection, happen: Callable[[History, Connection], None]
) -> None:
    happen(emptied, connection)
    before = left(connection)
    assert emptied.retire(0) == ()
    assert left(connection) == before


def test_no_plan_from_before_commits_after_a_repository_was_forgotten(emptied: History) -> None:
    old = emptied.snapshot(SHOP)
    emptied.retire(0)
    empty = emptied.snapshot(SHOP)
    record(emptied, event(9, seed="x"))
    doomed = Doomed(digest("x"), (Verdict(Tag("v1", digest("x"), NOW + 9000), False, "old", "r"),))
    for stale in (old, empty):
        assert emptied.commit(stale, Plan(doomed=(doomed,)), "doomed") is CommitResult.STALE
    assert int(emptied.generation(SHOP)) > int(old.generation)
