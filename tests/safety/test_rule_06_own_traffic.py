"""Safety rule 6: requests of pushprune do not count as use of an image, and cause no work."""

from typing import Any

import pytest

from service.registry.exchange import agent_with
from tests.support.edge import Edge, answer, post
from tests.support.makers import blob_event, event, understood, us


@pytest.mark.parametrize(
    ("useragent", "ours"),
    [
        ("pushprune/0.1.0 (w0rd-_)", True),
        ("pushprune/0.1.0 (w0rd-_; probe 0123456789abcdef)", True),
        ("pushprune/0.1.0", False),
        ("pushprune/0.1.0 (other)", False),
        ("pushprune/0.1.0 (w0rd-_x)", False),
        ("pushprune/0.1.0 (other; w0rd-_)", False),
        ("pushprune/0.1.0 (other) (w0rd-_)", False),
        ("docker/29 pushprune/0.1 (w0rd-_)", False),
        ("Pushprune/1 (w0rd-_)", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("action", ["push", "delete", "mount"])
def test_a_write_is_our_own_only_with_the_word_of_this_installation(useragent: str, action: str, ours: bool) -> None:
    assert understood(event(action, useragent=useragent)).events[0].is_ours("w0rd-_") is ours


@pytest.mark.parametrize(
    ("useragent", "ours"),
    [("pushprune/0.1.0", True), ("pushprune/0.1.0 (other)", True), ("docker/29 pushprune/0.1", False), ("", False)],
)
def test_a_pull_by_any_pushprune_does_not_count_as_use(useragent: str, ours: bool) -> None:
    assert understood(event("pull", useragent=useragent)).events[0].is_ours("w0rd-_") is ours


def test_an_event_that_moves_no_tag_requests_no_plan(edge: Edge) -> None:
    ours = event(useragent=agent_with(edge.store.history.word()), tag="mine")
    assert post(edge, blob_event(), blob_event("mount"), event("pull"), event(tag=None), ours).json == answer(5)
    assert (edge.planned, edge.tags()) == ([], [])


def test_events_of_our_own_cost_redis_nothing_once_their_registry_is_known(edge: Edge) -> None:
    ours: dict[str, Any] = {"useragent": agent_with(edge.store.history.word()), "instance": "one"}
    for number in range(3):
        post(edge, event("pull", tag="v1", **ours), event("push", tag="v2", **ours))
        if not number:
            edge.redis.delete(edge.store.connection.keys.of("counters"))
    assert edge.redis.hgetall(edge.store.connection.keys.of("counters")) == {}
    post(edge, event("delete", tag="v1", digest=None, media_type="", **ours))
    assert edge.redis.hget(edge.store.connection.keys.of("counters"), "own") == "1", "a race may have taken it along"


def test_our_own_traffic_changes_no_tag_and_no_pull_time(edge: Edge) -> None:
    ours: dict[str, Any] = {"useragent": agent_with(edge.store.history.word())}
    edge.heard(event(at=1))
    edge.heard(event(at=2, digest="x", **ours), event("pull", at=3, **ours), event("delete", at=4, **ours))
    keys = edge.store.connection.keys
    assert edge.redis.zrange(keys.of("tags", "shop/api"), 0, -1, withscores=True) == [("v1", us(1))]
    assert not edge.redis.exists(keys.of("pulled", "shop/api"))
