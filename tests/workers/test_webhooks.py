"""The threads of webhooks: each receiver by itself, in one worker at a time, and never in the way of deletions."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from service.domain.collection.run import Run
from service.domain.errors import StoreUnavailable
from service.store import Store
from service.webhooks.delivery import Delivery
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.support.system import Make
from tests.support.waiting import until
from workers import webhooks
from workers.webhooks import start_webhooks


@pytest.fixture
def receivers() -> Iterator[tuple[WebhookReceiver, WebhookReceiver]]:
    with WebhookReceiver() as first, WebhookReceiver() as second:
        yield first, second
        first.release()


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "LOOK_S", 0.02)
    monkeypatch.setattr(webhooks, "_TURN_S", 0.02)


@contextmanager
def worker(wiring: Wiring) -> Iterator[threading.Event]:
    """The threads that a worker starts for its webhooks; `set` ends them."""
    stopping = threading.Event()
    before = set(threading.enumerate())
    start_webhooks(wiring.store, wiring.settings, stopping)
    try:
        yield stopping
    finally:
        stopping.set()
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("webhook"):
                thread.join(240)


def settings(*receivers: WebhookReceiver) -> list[dict[str, str]]:
    return [{"name": f"w{number}", "url": receiver.url} for number, receiver in enumerate(receivers)]


def wait_for_look(store: Store, *names: str) -> None:
    until(lambda: all(store.webhooks.state(name).look for name in names))
    # The first look ends at a millisecond.
    time.sleep(0.002)


def record(store: Store, message: str = "") -> None:
    store.collection_runs.record(Run(1000, 2000, "done", "scheduled", message=message))


def test_a_receiver_that_stalls_delays_no_other_and_no_deletion(
    make_system: Make, receivers: tuple[WebhookReceiver, WebhookReceiver]
) -> None:
    stalled, well = receivers
    stalled.stall()
    system = make_system(keep_last(1), webhooks=settings(stalled, well))
    with worker(system.wiring):
        wait_for_look(system.store, "w0", "w1")
        record(system.store)
        until(lambda: len(stalled.requests) == 1)
        system.push("v1", "v2")
        system.settle()
        assert system.tags() == {"v2"}
        until(lambda: len(well.events("tags.deleted")) == 1)
        assert stalled.received == []
        stalled.release()
        until(lambda: len(stalled.events("tags.deleted")) == 1)


def test_each_event_is_sent_by_one_of_the_workers(
    make_wiring: MakeWiring, receivers: tuple[WebhookReceiver, WebhookReceiver]
) -> None:
    receiver, _ = receivers
    wiring = make_wiring(webhooks=settings(receiver))
    with ExitStack() as workers:
        for _ in range(3):
            workers.enter_context(worker(wiring))
        wait_for_look(wiring.store, "w0")
        for number in range(20):
            record(wiring.store, str(number))
        until(lambda: len(receiver.received) >= 20)
    assert [event["data"]["message"] for event in receiver.events()] == [str(number) for number in range(20)]


def test_another_worker_continues_when_the_first_ends(
    make_wiring: MakeWiring, receivers: tuple[WebhookReceiver, WebhookReceiver]
) -> None:
    receiver, _ = receivers
    wiring = make_wiring(webhooks=settings(receiver))
    with worker(wiring) as first:
        wait_for_look(wiring.store, "w0")
        first.set()
        with worker(wiring):
            record(wiring.store)
            until(lambda: len(receiver.received) == 1)


def test_events_are_made_while_others_are_sent(
    make_wiring: MakeWiring,
    receivers: tuple[WebhookReceiver, WebhookReceiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full queue and a slow receiver take hours: until then, unread events are trimmed, and troubles are over."""
    receiver, _ = receivers
    wiring = make_wiring(webhooks=settings(receiver))

    def send(_: Delivery) -> bool:
        time.sleep(0.005)
        return True

    monkeypatch.setattr(Delivery, "send", send)
    with worker(wiring):
        until(lambda: wiring.store.webhooks.state("w0").look > 2)


def test_a_fault_of_ours_or_an_absent_redis_does_not_end_it(
    make_wiring: MakeWiring,
    receivers: tuple[WebhookReceiver, WebhookReceiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver, _ = receivers
    wiring = make_wiring(webhooks=settings(receiver))
    errors, look = [RuntimeError("a fault"), StoreUnavailable("Redis is away")], Delivery.queue_new_events

    def faulty(delivery: Delivery) -> None:
        if errors:
            raise errors.pop()
        look(delivery)

    monkeypatch.setattr(Delivery, "queue_new_events", faulty)
    with worker(wiring):
        wait_for_look(wiring.store, "w0")
        record(wiring.store)
        until(lambda: len(receiver.received) == 1)


def test_a_file_that_cannot_be_read_is_a_trouble_until_a_worker_can_read_it(
    make_wiring: MakeWiring, receivers: tuple[WebhookReceiver, WebhookReceiver], tmp_path: Path
) -> None:
    receiver, _ = receivers
    file = tmp_path / "url"
    wiring = make_wiring(webhooks=[{"name": "w0", "url_file": file}])
    with worker(wiring):
        until(lambda: len(wiring.store.outbox.troubles()) == 1)
        (trouble,) = wiring.store.outbox.troubles()
        assert trouble.about == "webhook w0"
        assert f"webhook w0: url_file: cannot read {file}: No such file or directory" in trouble.message
        file.write_text(receiver.url)
        wait_for_look(wiring.store, "w0")
        record(wiring.store)
        until(lambda: len(receiver.received) == 1)
        assert wiring.store.outbox.troubles() == ()


def test_a_worker_that_cannot_read_a_file_is_no_trouble_while_another_can(
    make_wiring: MakeWiring, receivers: tuple[WebhookReceiver, WebhookReceiver], tmp_path: Path
) -> None:
    receiver, _ = receivers
    with worker(make_wiring(webhooks=settings(receiver))) as able:
        store = make_wiring().store
        wait_for_look(store, "w0")
        with worker(make_wiring(webhooks=[{"name": "w0", "url_file": tmp_path / "absent"}])):
            record(store)
            until(lambda: len(receiver.received) == 1)
            assert store.outbox.troubles() == ()
            able.set()
            until(lambda: len(store.outbox.troubles()) == 1)


def test_without_webhooks_there_is_no_thread_and_old_troubles_end(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    wiring.store.outbox.note_trouble("webhook chat", "it was removed from the settings since")
    wiring.store.outbox.note_trouble("doomed shop/api", "something else")
    before = threading.active_count()
    start_webhooks(wiring.store, wiring.settings, threading.Event())
    assert threading.active_count() == before
    assert [trouble.about for trouble in wiring.store.outbox.troubles()] == ["doomed shop/api"]
