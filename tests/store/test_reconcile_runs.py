"""Starts of the registry: a restart that no event reported counts, and each of them once."""

import pytest

from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.record import event, record

LONG_MS = 3_600_000


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    """An event of one instance was heard, just now."""
    made = make_wiring()
    record(made.store.history, event(1))
    return made


def test_a_restart_that_no_event_reported_counts_once(wiring: Wiring) -> None:
    before = wiring.store.reconcile_runs.epoch()
    assert not wiring.store.reconcile_runs.note_registry_start("1e9", LONG_MS), "the first look"
    assert not wiring.store.reconcile_runs.note_registry_start("1e9", LONG_MS)
    assert wiring.store.reconcile_runs.epoch() == before
    assert wiring.store.reconcile_runs.note_registry_start("2e9", -1000), "after the last event that is known of"
    assert not wiring.store.reconcile_runs.note_registry_start("2e9", LONG_MS)
    assert wiring.store.reconcile_runs.epoch() != before


def test_a_restart_that_an_event_has_told_of_does_not_count_again(wiring: Wiring) -> None:
    wiring.store.reconcile_runs.note_registry_start("1e9", LONG_MS)
    record(wiring.store.history, event(2, instance="i2"))
    before = wiring.store.reconcile_runs.epoch()
    assert not wiring.store.reconcile_runs.note_registry_start("2e9", 1000)
    assert wiring.store.reconcile_runs.epoch() == before


def test_several_registries_behind_one_address_are_no_restarts(wiring: Wiring) -> None:
    wiring.store.reconcile_runs.note_registry_start("1e9", LONG_MS)
    wiring.store.reconcile_runs.note_registry_start("2e9", LONG_MS)
    before = wiring.store.reconcile_runs.epoch()
    for item in ("1e9", "2e9", "1e9"):
        assert not wiring.store.reconcile_runs.note_registry_start(item, -1000)
    assert wiring.store.reconcile_runs.epoch() == before
