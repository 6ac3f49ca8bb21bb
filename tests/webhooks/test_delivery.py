"""Events are made from the record, and wait until the receiver has accepted them."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.collect.verify import BROKEN
from service.domain.collection.run import Run
from service.domain.errors import StoreUnavailable
from service.settings.webhooks import WebhookSettings
from service.store import webhooks
from service.store.webhooks import WebhookState
from service.webhooks import compose, delivery
from service.webhooks.delivery import Delivery
from tests.conftest import keep_last
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.support.system import SHOP, Make, System, make_system, old_pushes, whole_listings

__all__ = ["make_system", "old_pushes", "whole_listings"]

pytestmark = pytest.mark.slow

NAME = "audit"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as made:
        yield made


def subscribed(system: System, receiver: WebhookReceiver, **settings: Any) -> Delivery:
    """A delivery to the receiver that knows where to begin."""
    webhook = WebhookSettings.model_validate({"name": NAME, "url": receiver.url, **settings})
    made = Delivery(system.store, webhook, "http://registry:5000")
    pass_millisecond(system)
    made.queue_new_events()
    pass_millisecond(system)
    return made


def pass_millisecond(system: System) -> None:
    """The first look ends at a millisecond."""
    now_ms = system.store.connection.now_ms()
    while system.store.connection.now_ms() == now_ms:
        pass


def send_all(delivery: Delivery) -> None:
    delivery.queue_new_events()
    while delivery.send():
        pass


def state(system: System) -> WebhookState:
    return system.store.webhooks.state(NAME)


def end_wait(system: System) -> None:
    """Let the time of the next attempt come."""
    system.store.connection.client.hset(system.store.connection.keys.of("webhook", NAME), "until_ms", 0)


def redis_is_away(*_: object) -> None:
    raise StoreUnavailable("Redis is away")


def types(receiver: WebhookReceiver) -> list[str]:
    return [event["type"].removeprefix("pushprune.") for event in receiver.events()]


class TestEvents:
    def test_deletions_and_restores_come_in_their_order(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        system.push("v1", "v2", "v3")
        system.settle()
        system.wiring.restore.restore(SHOP, tag="v1", by="ann")
        send_all(audit)
        deleted, restored = receiver.events()
        assert types(receiver) == ["tags.deleted", "tags.restored"]
        assert deleted["subject"] == SHOP
        assert {tag["tag"] for tag in deleted["data"]["tags"]} == {"v1", "v2"}
        assert {tag["rule"] for tag in deleted["data"]["tags"]} == {"last"}
        assert [(tag["tag"], tag["by"]) for tag in restored["data"]["tags"]] == [("v1", "ann")]

    def test_a_plan_that_waits_is_an_event_once(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1, hold_over=0, hold_min=1))
        audit = subscribed(system, receiver)
        system.push("v1", "v2", "v3", "v4")
        system.settle()
        reason = system.store.approvals.held(SHOP)
        send_all(audit)
        system.push("v5")
        system.settle()
        send_all(audit)
        (held,) = receiver.events()
        assert held["type"] == "pushprune.plan.held"
        assert held["data"] == {"repository": SHOP, "reason": reason, "images": 3}

    def test_a_second_hold_of_a_repository_is_an_event_again(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1, hold_over=0, hold_min=1))
        audit = subscribed(system, receiver)
        system.push("v1", "v2", "v3")
        system.settle()
        send_all(audit)
        of, client = system.store.connection.keys.of, system.store.connection.client
        hold = str(client.get(of("hold", SHOP)))
        system.store.approvals.approve(SHOP)
        system.messages.enforce(SHOP)
        system.settle()
        send_all(audit)
        client.set(of("hold", SHOP), hold)
        client.sadd(of("held"), SHOP)
        send_all(audit)
        assert types(receiver) == ["plan.held", "tags.deleted", "plan.held"]

    def test_each_end_of_a_collection_is_an_event(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        for result in ("postponed", "failed", "dry run", "done"):
            system.store.collection_runs.record(Run(1000, 2000, result, "scheduled", blobs=3, message=f"is {result}"))
        send_all(audit)
        assert types(receiver) == ["collection.postponed", "collection.failed", "collection.done"]
        assert [event["data"]["message"] for event in receiver.events()] == ["is postponed", "is failed", "is done"]

    def test_a_registry_that_is_away_and_its_return_are_events(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        system.store.outbox.note_trouble("registry", "cannot be reached")
        send_all(audit)
        send_all(audit)
        system.store.outbox.end_trouble("registry")
        send_all(audit)
        away, back = receiver.events()
        assert types(receiver) == ["registry.away", "registry.back"]
        assert away["data"] == {"message": "cannot be reached"}
        assert back["data"] == {"away_since": away["time"]}

    @pytest.mark.parametrize(
        ("subject", "image"),
        [
            (f"{BROKEN}shop/api:v1", "shop/api:v1"),
            ("part shop/api@sha256:aa", "shop/api@sha256:aa"),
            ("lost shop/api:v1", "shop/api:v1"),
        ],
    )
    def test_a_broken_image_is_an_event_and_other_troubles_are_not(
        self, make_system: Make, receiver: WebhookReceiver, subject: str, image: str
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        for trouble in (subject, "doomed shop/api", "garbage"):
            system.store.outbox.note_trouble(trouble, "it is broken")
        send_all(audit)
        (broken,) = receiver.events()
        assert broken["type"] == "pushprune.image.broken"
        assert broken["data"] == {"repository": SHOP, "image": image, "message": "it is broken"}

    def test_no_event_before_the_webhook_was_set_is_sent(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        system.push("v1", "v2")
        system.settle()
        system.store.outbox.note_trouble("registry", "cannot be reached")
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        send_all(subscribed(system, receiver))
        assert receiver.requests == []

    def test_only_wanted_events_of_wanted_repositories_are_sent(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1))
        wanted = {"events": ["tags.deleted", "collection.done"], "repositories": ["shop/*", "!shop/web"]}
        audit = subscribed(system, receiver, **wanted)
        for repository in (SHOP, "shop/web"):
            system.push("v1", "v2", repository=repository)
        system.settle()
        system.wiring.restore.restore(SHOP, tag="v1", by="ann")
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        send_all(audit)
        assert sorted(types(receiver)) == ["collection.done", "tags.deleted"]

    def test_deletions_of_one_repository_share_messages(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compose, "MOST_TAGS", 3)
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        system.push("v1", "v2", "v3", "v4", "v5", "v6")
        system.settle()
        send_all(audit)
        assert [event["data"]["count"] for event in receiver.events()] == [3, 2]


class TestAttempts:
    def test_the_same_message_is_sent_until_it_is_received(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(500, 404, (302, {"Location": receiver.url}))
        system.push("v1", "v2")
        system.settle()
        for attempts in (1, 2, 3):
            send_all(audit)
            assert state(system).attempts == attempts
            assert not audit.send()
            end_wait(system)
        assert "a redirect, which is not followed" in state(system).error
        send_all(audit)
        assert len({(message.id, message.body) for message in receiver.requests}) == 1
        assert len(receiver.requests) == 4
        assert (state(system).sent, state(system).failed, state(system).waiting) == (1, 3, 0)
        assert (state(system).attempts, state(system).error) == (0, "")

    def test_the_pauses_grow_and_obey_the_receiver(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        system.push("v1", "v2")
        system.settle()
        receiver.answer(500, 500, 500, (429, {"Retry-After": "60"}), *[500] * 6)
        pauses = []
        audit.queue_new_events()
        for _ in range(10):
            now_ms = system.store.connection.now_ms()
            audit.send()
            pauses.append(round((state(system).until_ms - now_ms) / 1000))
            end_wait(system)
        assert pauses == [1, 2, 4, 60, 16, 32, 64, 128, 256, 300]

    def test_events_keep_their_order_behind_one_that_is_not_received(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(500)
        for result in ("failed", "done"):
            system.store.collection_runs.record(Run(1000, 2000, result, "scheduled"))
            send_all(audit)
        end_wait(system)
        send_all(audit)
        assert types(receiver) == ["collection.failed", "collection.done"]

    def test_a_message_that_is_never_taken_does_not_hold_up_the_others_for_ever(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(*[422] * 8)
        for result in ("failed", "done"):
            system.store.collection_runs.record(Run(1000, 2000, result, "scheduled"))
        for _ in range(9):
            send_all(audit)
            end_wait(system)
        assert types(receiver) == ["collection.done"]
        assert (state(system).sent, state(system).dropped) == (1, 1)

    def test_only_refusals_of_a_message_end_its_attempts(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        # A proxy answered while the receiver was away; after that it took a while to be right.
        receiver.answer(*[502] * 10, *[400] * 7)
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        for _ in range(18):
            send_all(audit)
            end_wait(system)
        assert types(receiver) == ["collection.done"]
        assert (state(system).sent, state(system).dropped) == (1, 0)

    def test_a_receiver_that_refuses_every_message_is_a_trouble_until_it_takes_one(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery, "_MOST_REFUSALS", 2)
        monkeypatch.setattr(delivery, "_TROUBLE_MS", -1)
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(*[422] * 4)
        for result in ("failed", "postponed", "done"):
            system.store.collection_runs.record(Run(1000, 2000, result, "scheduled"))
        for troubles in (0, 1, 1, 1, 0):
            send_all(audit)
            assert len(system.store.outbox.troubles()) == troubles
            end_wait(system)
        assert types(receiver) == ["collection.done"]
        assert (state(system).dropped, state(system).attempts) == (2, 0)

    def test_a_receiver_that_is_gone_is_left_alone_until_a_worker_is_started(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(410)
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        send_all(audit)
        end_wait(system)
        send_all(audit)
        assert len(receiver.requests) == 1
        (trouble,) = system.store.outbox.troubles()
        assert trouble.about == "webhook audit"
        assert "nothing is sent to it until a worker is started again" in trouble.message
        again = subscribed(system, receiver)
        again.reopen()
        send_all(again)
        assert types(receiver) == ["collection.done"]
        assert system.store.outbox.troubles() == ()

    def test_a_receiver_that_fails_for_minutes_is_a_trouble_until_it_works(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery, "_TROUBLE_MS", -1)
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(500, 500)
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        for troubles in ([], ["webhook audit"], []):
            send_all(audit)
            assert [trouble.about for trouble in system.store.outbox.troubles()] == troubles
            end_wait(system)

    def test_a_message_whose_receipt_was_not_recorded_is_sent_again_with_its_name(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        monkeypatch.setattr(type(system.store.webhooks), "succeeded", redis_is_away)
        with pytest.raises(StoreUnavailable):
            send_all(audit)
        monkeypatch.undo()
        send_all(audit)
        first, second = receiver.received
        assert (first.id, first.body) == (second.id, second.body)
        assert state(system).waiting == 0


class TestBounds:
    def test_the_oldest_of_too_many_events_are_dropped_and_counted(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhooks, "MOST_WAITING", 2)
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        for message in ("one", "two", "three"):
            system.store.collection_runs.record(Run(1000, 2000, "failed", "scheduled", message=message))
            audit.queue_new_events()
        send_all(audit)
        assert [event["data"]["message"] for event in receiver.events()] == ["two", "three"]
        assert state(system).dropped == 1

    def test_events_that_are_too_old_are_dropped_and_counted(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        receiver.answer(500)
        system.store.collection_runs.record(Run(1000, 2000, "failed", "scheduled"))
        send_all(audit)
        monkeypatch.setattr(webhooks, "KEEP_MS", -1000)
        end_wait(system)
        send_all(audit)
        monkeypatch.undo()
        # The message that was begun is not waited for.
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        send_all(audit)
        assert types(receiver) == ["collection.done"]
        assert state(system).dropped == 1

    def test_two_workers_that_look_at_the_same_time_queue_an_event_once(
        self, make_system: Make, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system = make_system(keep_last(1))
        audit = subscribed(system, receiver)
        system.store.collection_runs.record(Run(1000, 2000, "done", "scheduled"))
        before = state(system)
        audit.queue_new_events()
        monkeypatch.setattr(system.store.webhooks, "state", lambda _: before)
        audit.queue_new_events()
        monkeypatch.undo()
        assert state(system).waiting == 1


class TestChat:
    def test_a_message_contains_all_events_since_the_last_message(
        self, make_system: Make, receiver: WebhookReceiver
    ) -> None:
        system = make_system(keep_last(1))
        chat = subscribed(system, receiver, format="slack", every="1h")
        system.push("v1", "v2")
        system.settle()
        send_all(chat)
        for repository in ("shop/web", "shop/db"):
            system.push("v1", "v2", "v3", repository=repository)
        system.settle()
        send_all(chat)
        assert len(receiver.received) == 1
        end_wait(system)
        send_all(chat)
        first, second = (message.json["text"] for message in receiver.received)
        assert "deleted in `shop/api`: `v1` (older than the newest (rule last))" in first
        assert "deleted 4 tags: `shop/db` 2, `shop/web` 2" in second or "`shop/web` 2, `shop/db` 2" in second

    def test_a_message_is_the_same_when_it_is_sent_again(self, make_system: Make, receiver: WebhookReceiver) -> None:
        system = make_system(keep_last(1))
        chat = subscribed(system, receiver, format="slack")
        receiver.answer(503)
        for result in ("failed", "done"):
            system.store.collection_runs.record(Run(1000, 2000, result, "scheduled"))
            send_all(chat)
        for _ in range(2):
            end_wait(system)
            send_all(chat)
        refused, again, rest = receiver.requests
        assert (refused.id, refused.body) == (again.id, again.body)
        assert "done" in rest.json["text"]
