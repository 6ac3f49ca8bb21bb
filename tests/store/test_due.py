"""A repository with something new to plan is planned soon, also where time alone would have come later."""

from collections.abc import Callable
from typing import Any

import pytest

from service.domain.oci.manifest import References
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.deletions import Deletions
from service.store.history import History
from service.store.limits import Limits
from service.store.outbox import Outbox
from tests.support.record import NOW, digest, event, facts_of, record

SHOP = "shop/api"
INDEX = Doomed(digest("index"), (Verdict(Tag("v1", digest("index"), NOW + 1000), False, "old", "r"),))


def forget(history: History) -> None:
    Deletions(history._connection, Limits(), 86_400).forget(history.snapshot(SHOP), INDEX)


def spare(history: History) -> None:
    Outbox(history._connection).undoom(SHOP, digest("index"))


def take_back(history: History) -> None:
    Deletions(history._connection, Limits(), 86_400).untagged_again(SHOP, "v1", digest("index"))


def vanish(history: History) -> None:
    facts_of(history).adopt(history.snapshot(SHOP), vanished=["v2"])


def lose_an_index(history: History) -> None:
    facts_of(history).resolve(history.snapshot(SHOP), {digest("index"): None})


@pytest.mark.parametrize("happen", [forget, spare, take_back, vanish, lose_an_index])
def test_a_repository_that_was_due_tomorrow_is_due_within_seconds(
    connection: Connection, happen: Callable[[History], None]
) -> None:
    history, client = History(connection), connection.client
    record(history, event(1, seed="index"), event(2, seed="other", tag="v2"))
    facts_of(history).resolve(history.snapshot(SHOP), {digest("index"): References(children=(digest("part"),))})
    snapshot = history.snapshot(SHOP)
    tomorrow_us = (connection.now_ms() + 86_400_000) * 1000
    assert history.commit(snapshot, Plan(doomed=(INDEX,), next_us=tomorrow_us), "doomed")
    happen(history)
    due: Any = client.zscore(connection.keys.of("due"), SHOP)
    assert due < connection.now_ms() + 60_000
    assert history.generation(SHOP) != snapshot.generation
