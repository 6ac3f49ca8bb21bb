"""Long lists of Redis are read in parts, and completely."""

from typing import Any

import pytest

from service.store import chunks
from service.store.chunks import by_score
from service.store.connection import Connection


@pytest.fixture
def key(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(chunks, "AT_ONCE", 2)
    return connection.keys.of("trashed")


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
        {"a": 1, "b": 2, "c": 2, "d": 2, "e": 3},
        {"a": 7, "b": 7, "c": 7, "d": 7, "e": 7, "f": 7, "g": 1_764_500_000_000_001, "h": 1_764_500_000_000_002},
    ],
)
def test_each_member_is_read_once_the_lowest_score_first(
    connection: Connection, key: str, scores: dict[str, int]
) -> None:
    if scores:
        connection.client.zadd(key, scores)
    assert list(by_score(connection.client, key)) == list(scores)


def test_members_from_a_score_on_are_left_out(connection: Connection, key: str) -> None:
    connection.client.zadd(key, {"a": 1, "b": 2, "c": 3, "d": 3})
    assert list(by_score(connection.client, key, "(3")) == ["a", "b"]


def test_no_member_is_missed_where_others_are_removed_and_added_meanwhile(connection: Connection, key: str) -> None:
    client: Any = connection.client
    client.zadd(key, {name: score for score, name in enumerate("abcdef")})
    read = []
    for name in by_score(client, key):
        read.append(name)
        if name == "b":
            client.zrem(key, "a", "b")
            client.zadd(key, {"g": 9})
    assert read == list("abcdefg")
