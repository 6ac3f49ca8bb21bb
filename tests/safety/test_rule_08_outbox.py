"""Safety rule 8: the outbox says what must still happen, and the sweep sends every lost message again."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.domain.errors import StoreUnavailable
from service.domain.events import Envelope, Event
from service.prune import planning
from service.store.connection import Connection
from service.store.history import History
from service.store.outbox import Outbox
from tests.conftest import keep_last
from tests.support.record import digest, event, record, state
from tests.support.system import SHOP, Make, System
from tests.support.waiting import until
from workers.sweep import sweep


def swept(system: System) -> list[tuple[str, ...]]:
    """Sweep until something is sent, and return it."""
    system.messages.sent.clear()

    def sent() -> bool:
        sweep(system.wiring)
        return bool(system.messages.sent)

    until(sent)
    return list(system.messages.sent)


@pytest.mark.live
def test_a_lost_message_about_a_due_repository_is_sent_again(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    assert swept(system) == [("enforce", "shop/api")]


@pytest.mark.live
def test_a_lost_message_about_a_doomed_image_is_sent_again(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    planning.enforce(system.wiring, "shop/api")
    assert swept(system) == [("delete", "shop/api")]


def test_a_lost_message_about_a_requested_collection_is_sent_again(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.store.collections.request("by hand")
    assert swept(system) == [("collect",)]


def test_a_policy_change_survives_a_crash_before_every_repository_is_due(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    system.settle()
    system.store.connection.client.set(system.store.connection.keys.of("policy"), "what was in force before")

    def crash(_outbox: Outbox, _repositories: Sequence[str]) -> tuple[str, ...]:
        raise StoreUnavailable("gone for a moment")

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "mark_due", crash)
        with pytest.raises(StoreUnavailable):
            sweep(system.wiring)
    sweep(system.wiring)
    assert system.messages.sent == [("enforce", SHOP)]


def many_events(count: int = 200) -> list[Event]:
    """A bit of everything over three repositories and a few tags."""
    chance = random.Random(7)
    events = []
    for number in range(count):
        tag = f"v{chance.randrange(6)}"
        action = chance.choice(["push", "push", "push", "pull", "delete", "index", "digest delete"])
        made = event(number, tag=tag, seed=chance.randrange(8), repository=chance.choice(["a", "b/c", "d-e"]))
        if action == "pull":
            made = replace(made, action="pull")
        elif action == "delete":
            made = replace(made, action="delete", digest=None, media_type="")
        elif action == "digest delete":
            made = replace(made, action="delete", tag=None, media_type="")
        elif action == "index":
            index = "application/vnd.oci.image.index.v1+json"
            known = chance.choice([None, (digest("x"), digest("y"))])
            made = replace(made, media_type=index, digest=digest(f"index {known is None}"), children=known)
        events.append(made)
    return events


def test_the_same_envelope_a_thousand_times_is_recorded_once(history: History, connection: Connection) -> None:
    envelope = Envelope((event(1), event(2, tag="v2")), ())
    history.record(envelope)
    once = state(connection)
    for _ in range(999):
        assert history.record(envelope).events == 0
    assert state(connection) == once


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_repeated_and_unordered_events_lead_to_the_same_state(
    history: History, connection: Connection, seed: int
) -> None:
    events = many_events()
    for item in events:
        record(history, item)
    in_order = state(connection)
    connection.client.delete(*connection.client.keys(f"{connection.keys.prefix}*"))
    shuffled = [*events, *events[::3]]
    random.Random(seed).shuffle(shuffled)
    for item in shuffled:
        record(history, item)
    assert state(connection) == in_order


def test_an_envelope_of_many_events_leads_to_the_same_state_as_many_envelopes(
    history: History, connection: Connection
) -> None:
    events = many_events()
    for item in events:
        record(history, item)
    apart = state(connection)
    connection.client.delete(*connection.client.keys(f"{connection.keys.prefix}*"))
    record(history, *events)
    assert state(connection) == apart
