"""Webhooks of a whole system: a push that overflows becomes a signed event, whatever dies meanwhile."""

import base64

from service.domain.webhooks.signature import signature, signing_key
from tests.fakes.valkey import free_port
from tests.fakes.webhook_receiver import Message, WebhookReceiver
from tests.live.conftest import Live, LiveSystem, last, wait_until

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"


def is_signed(message: Message) -> bool:
    timestamp_s = int(message.headers["webhook-timestamp"])
    expected = signature(signing_key(SECRET), message.id, timestamp_s, message.body)
    return message.headers["webhook-signature"] == expected


def overflow(system: LiveSystem, tag: str) -> None:
    """Push until the tag that was there before is deleted."""
    system.pusher.push_image("shop/api", tag)
    wait_until(lambda: system.tags("shop/api") == {tag}, f"only {tag} must be left")


def deleted(receiver: WebhookReceiver) -> list[str]:
    """The tags, in the order of their first events: an event that is answered late is sent again."""
    return list(dict.fromkeys(tag["tag"] for event in receiver.events("tags.deleted") for tag in event["data"]["tags"]))


def test_a_deletion_is_reported_though_receiver_and_worker_are_away_meanwhile(live: Live) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    system = live(policy=last(1), webhooks=[{"name": "audit", "url": url, "secret": SECRET}])
    worker = system.start_worker()
    state = system.store.webhooks.state
    wait_until(lambda: state("audit").look, "the worker does not look")
    with WebhookReceiver(port=port) as receiver:
        overflow(system, "v1")
        overflow(system, "v2")
        wait_until(lambda: deleted(receiver) == ["v1"], "the deletion is not reported")
    # The receiver is away: deletions go on, and their events wait.
    overflow(system, "v3")
    wait_until(lambda: state("audit").attempts, "no attempt was made")
    system.kill(worker)
    with WebhookReceiver(port=port) as again:
        system.start_worker()
        wait_until(lambda: deleted(again)[-1:] == ["v2"], "the event is not sent again")
        overflow(system, "v4")
        wait_until(lambda: deleted(again)[-2:] == ["v2", "v3"], "later events are not sent")
        wait_until(lambda: not state("audit").waiting, "events wait that were received")
    assert all(map(is_signed, (*receiver.received, *again.received)))
    assert not state("audit").dropped
    assert state("audit").failed
