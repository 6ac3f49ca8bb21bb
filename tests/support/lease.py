"""Leases that stay valid while the machine stops for seconds, in tests that work in their own process."""

import pytest

from service.prune import planning
from service.store.connection import Connection
from service.store.lease import Leases

_LIFE_MS = 240_000


def be_patient() -> None:
    """Let work that tests do in their own process keep its leases while the machine stops for seconds."""
    Leases.hold.__wrapped__.__defaults__ = (_LIFE_MS, 0)  # type: ignore[attr-defined]
    setattr(planning, "WORK_MS", _LIFE_MS)  # noqa: B010 - mypy does not see what another module imports


@pytest.fixture(autouse=True)
def patient_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a collection that a test makes in its own process keep the lease while the machine stops."""
    monkeypatch.setattr("service.collect.run.COLLECT_MS", _LIFE_MS)


@pytest.fixture
def leases(connection: Connection) -> Leases:
    return Leases(connection)
