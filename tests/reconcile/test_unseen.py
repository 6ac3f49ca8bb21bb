"""Repositories that were only heard of are bounded, and forgotten once the registry turns out not to have them."""

from dataclasses import replace

import pytest

from service.clock import now_us
from service.domain.events import Envelope
from service.domain.retention.state import Tag
from service.reconcile import compare
from service.store import unseen_repositories
from service.store.connection import Connection
from service.store.history import History
from service.store.limits import Limits
from tests.conftest import keep_last
from tests.support.record import event, facts_of
from tests.support.record import record as due_after
from tests.support.system import SHOP, Make
from workers import sweep


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection, Limits(unseen_repositories=3, unseen_tags=4))


def named(history: History, number: int) -> int:
    """One push to each of so many repositories; returns how many were refused."""
    events = tuple(replace(event(nth), repository=f"made/up-{nth}") for nth in range(number))
    return history.record(Envelope(events, ())).refused


def test_no_more_repositories_are_recorded_than_may_be_unseen(history: History, connection: Connection) -> None:
    assert named(history, 10) == 7
    assert len(history.repositories()) == 3
    assert connection.client.xlen(connection.keys.of("rejected")) == 7


def test_a_refused_event_leaves_nothing_of_its_repository(history: History, connection: Connection) -> None:
    named(history, 10)
    prefix = connection.keys.prefix
    left = {str(key).removeprefix(prefix) for key in connection.client.scan_iter(match=f"{prefix}*made/up-*")}
    assert {name.rpartition("-")[2] for name in left} == {"0", "1", "2"}


def test_an_event_that_was_refused_is_not_refused_twice(history: History, connection: Connection) -> None:
    named(history, 4)
    assert named(history, 4) == 0
    assert connection.client.xlen(connection.keys.of("rejected")) == 1


def test_no_more_tags_of_such_a_repository_are_recorded(history: History) -> None:
    for number in range(10):
        due_after(history, event(number, tag=f"v{number}"))
    assert len(history.live("shop/api")) == 4
    due_after(history, event(11, tag="v1"))
    assert next(tag for tag in history.live("shop/api") if tag.name == "v1").digest == event(11).digest


def test_the_number_of_tags_that_a_comparison_finds_is_not_bounded(history: History) -> None:
    named(history, 3)
    snapshot = history.snapshot("made/up-0")
    seen = Tag("v9", "sha256:" + "1" * 64, None)
    facts_of(history).adopt(snapshot, [(seen, "")], complete=True)
    assert named(history, 5) == 1, "there is room for one more"
    for number in range(20, 30):
        history.record(Envelope((replace(event(number, tag=f"v{number}"), repository="made/up-0"),), ()))
    assert len(history.live("made/up-0")) == 12


def test_a_repository_that_the_registry_does_not_have_is_forgotten(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unseen_repositories, "_OLD_MS", 0)
    system = make_system(keep_last(3))
    history, client = system.store.history, system.store.connection.client
    # An older image of another repository proves that this is still the same storage.
    system.push("v1")
    history.record(Envelope((replace(event(1), repository="made/up", at_us=now_us()),), ()))
    for repository in ("made/up", SHOP):
        compare.compare(system.store, system.wiring.registry, history.snapshot(repository))
    assert history.repositories() == (SHOP,)
    assert not list(client.scan_iter(match=f"{system.store.connection.keys.prefix}*made/up*"))


def test_a_repository_that_was_reported_just_now_is_not_forgotten(make_system: Make) -> None:
    """Parts of its first image may be pushed, and no tag yet."""
    system = make_system(keep_last(3))
    system.store.history.record(Envelope((replace(event(1, tag=None), repository="new"),), ()))
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot("new"))
    assert system.store.history.repositories() == ("new",)


def test_the_sweep_has_those_compared_that_take_the_room(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unseen_repositories, "_OLD_MS", 0)
    system = make_system(keep_last(3), history={"unseen_repositories": 4})
    named(system.store.history, 2)
    sweep.sweep(system.wiring)
    assert system.store.reconcile_runs.waiting(("made/up-0", "made/up-1"))
