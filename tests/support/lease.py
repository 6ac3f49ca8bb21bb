"""Makers for tests of lease."""

import time
from collections.abc import Callable

import pytest

from service.store.connection import Connection
from service.store.lease import Leases


def until(condition: Callable[[], bool], within_s: float = 120) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def patient_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a collection that a test makes in its own process keep the lease while the machine stands still."""
    monkeypatch.setattr("service.collect.run.COLLECT_MS", 240_000)


@pytest.fixture
def leases(connection: Connection) -> Leases:
    return Leases(connection)
