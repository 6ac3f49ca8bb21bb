"""The queues of webhooks, over a real server and one in memory."""

from collections.abc import Iterator

import fakeredis
import pytest

from service.domain.webhooks.event import WebhookEvent
from service.store import webhooks
from service.store.connection import Connection
from service.store.keys import Keys
from service.store.webhooks import Look, Webhooks

NAME = "audit"
LOOK = Look("5-0", "6-0", {"registry": 7})


def event(number: int) -> WebhookEvent:
    return WebhookEvent(f"id-{number}", "plan.held", "shop/ä", number, {"images": number, "names": ["<x>"]})


@pytest.fixture(params=["valkey", "in memory"])
def store(request: pytest.FixtureRequest, connection: Connection) -> Iterator[Webhooks]:
    if request.param == "valkey":
        yield Webhooks(connection)
    else:
        yield Webhooks(Connection(fakeredis.FakeRedis(decode_responses=True), Keys("p:")))


def queue(store: Webhooks, *events: WebhookEvent, look: Look = LOOK) -> bool:
    return store.queue(NAME, store.state(NAME), look, events)


def ids(store: Webhooks, count: int = 10) -> list[str]:
    return [identifier for identifier, _ in store.next(NAME, count)]


def test_events_wait_in_their_order_and_come_back_as_they_were(store: Webhooks) -> None:
    assert queue(store, event(1), event(2))
    assert [waiting for _, waiting in store.next(NAME, 10)] == [event(1), event(2)]
    state = store.state(NAME)
    assert (state.look, state.entries_id, state.runs_id, state.troubles) == (1, "5-0", "6-0", {"registry": 7})
    assert (state.waiting, state.oldest_ms is not None) == (2, True)


def test_a_look_of_a_worker_that_was_overtaken_changes_nothing(store: Webhooks) -> None:
    before = store.state(NAME)
    assert queue(store, event(1))
    assert not store.queue(NAME, before, Look("9-0", "9-0", {}), [event(2)])
    assert [waiting for _, waiting in store.next(NAME, 10)] == [event(1)]
    assert store.state(NAME).entries_id == "5-0"


def test_the_oldest_make_room(store: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_WAITING", 2)
    queue(store, event(1), event(2))
    queue(store, event(3))
    assert [waiting.id for _, waiting in store.next(NAME, 10)] == ["id-2", "id-3"]
    assert store.state(NAME).dropped == 1


def test_an_event_that_is_too_old_is_dropped(store: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(store, event(1))
    monkeypatch.setattr(webhooks, "KEEP_MS", -1000)
    queue(store)
    assert (store.state(NAME).waiting, store.state(NAME).dropped) == (0, 1)


def test_a_success_removes_the_message_and_its_failures(store: Webhooks) -> None:
    queue(store, event(1), event(2))
    store.begin(NAME, ids(store)[0])
    store.failed(NAME, "answers 500", 20, 10)
    store.failed(NAME, "answers 502", 40, 30)
    state = store.state(NAME)
    assert (state.attempts, state.failed, state.since_ms, state.until_ms) == (2, 2, 10, 40)
    assert (state.error, state.message_id) == ("answers 502", ids(store)[0])
    store.succeeded(NAME, ids(store, 1), 50)
    state = store.state(NAME)
    assert (state.sent, state.attempts, state.since_ms, state.until_ms, state.error) == (1, 0, 0, 50, "")
    assert (state.message_id, state.failed, state.waiting) == ("", 2, 1)


def test_a_message_that_is_given_up_ends_its_refusals_and_no_failure(store: Webhooks) -> None:
    queue(store, event(1), event(2))
    store.failed(NAME, "answers 500", 20, 10)
    store.begin(NAME, ids(store)[0])
    store.failed(NAME, "answers 422", 40, 30, is_refused=True)
    assert store.state(NAME).refusals == 1
    store.give_up(NAME, ids(store, 1))
    state = store.state(NAME)
    assert (state.refusals, state.message_id, state.dropped, state.waiting) == (0, "", 1, 1)
    assert (state.attempts, state.since_ms, state.error) == (2, 10, "answers 422")
    store.failed(NAME, "answers 422", 40, 30, is_refused=True)
    store.begin(NAME, ids(store)[0])
    assert store.state(NAME).refusals == 0


def test_a_message_that_was_begun_has_no_later_events(store: Webhooks) -> None:
    queue(store, event(1), event(2), event(3))
    begun = ids(store)[1]
    assert [waiting.id for _, waiting in store.next(NAME, 10, begun)] == ["id-1", "id-2"]


def test_holds_are_new_once(store: Webhooks) -> None:
    client, keys = store._connection.client, store._keys
    client.sadd(keys.of("held"), "old")
    queue(store)
    assert store.holds(NAME) == ((), ())
    client.srem(keys.of("held"), "old")
    client.sadd(keys.of("held"), "new")
    assert store.holds(NAME) == (("new",), ("old",))
    queue(store, look=Look("5-0", "6-0", {}, ("new",), ("old",)))
    assert store.holds(NAME) == ((), ())


def test_everything_ends_a_week_after_the_last_look(store: Webhooks) -> None:
    client, keys = store._connection.client, store._keys
    client.sadd(keys.of("held"), "old")
    queue(store, event(1))
    for name in ("webhook", "webhook_queue", "webhook_held"):
        assert 604_700 < client.ttl(keys.of(name, NAME)) <= 604_800
