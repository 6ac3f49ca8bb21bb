"""The message that a script stores to ask for a plan is the one that Celery would store, and that kombu reads."""

import json
from typing import Any

from celery import Celery

from service.dispatch import ENFORCE, Dispatch, celery_app, plan_message
from service.store.connection import ANSWER_S, Connection
from tests.conftest import MakeWiring
from tests.fakes.valkey import Valkey
from tests.support.makers import event, understood

SHOP = "shop/api"
# These differ from message to message.
_OWN = frozenset({"id", "root_id", "correlation_id", "delivery_tag", "reply_to", "origin"})


def masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: type(part).__name__ if key in _OWN else masked(part) for key, part in value.items()}
    return value


def app(connection: Connection, valkey: Valkey) -> Celery:
    return celery_app(valkey.url, connection.keys.prefix)


def test_the_message_of_a_script_is_the_one_that_celery_stores(connection: Connection, valkey: Valkey) -> None:
    Dispatch(lambda: app(connection, valkey)).enforce(SHOP)
    (stored,) = connection.client.lrange(connection.keys.of("enforce"), 0, -1)
    assert masked(json.loads(plan_message(SHOP))) == masked(json.loads(stored))


def test_kombu_reads_what_the_recording_of_a_push_stored(make_wiring: MakeWiring, valkey: Valkey) -> None:
    wiring = make_wiring()
    wiring.store.history.record_all([understood(event(repository=SHOP))], plan_message)
    with app(wiring.store.connection, valkey).connection_for_read() as broker, broker.SimpleQueue("enforce") as queue:
        message = queue.get(block=False)
        message.ack()
    assert message.headers["task"] == ENFORCE
    assert message.decode()[0] == [SHOP]


def test_a_repository_that_is_due_already_needs_no_second_message(make_wiring: MakeWiring) -> None:
    store = make_wiring().store
    for tag in ("v1", "v2"):
        store.history.record_all([understood(event(repository=SHOP, tag=tag))], plan_message)
    assert store.connection.client.llen(store.connection.keys.of("enforce")) == 1


def test_a_worker_that_ends_waits_for_a_silent_redis_no_longer_than_other_calls(valkey: Valkey) -> None:
    with celery_app(valkey.url, "p:").connection_for_read() as broker:
        channel: Any = broker.default_channel
        # An answer to the blocking read of kombu must not count as late.
        assert channel.brpop_timeout < channel.socket_timeout <= ANSWER_S
