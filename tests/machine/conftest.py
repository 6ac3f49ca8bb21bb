"""The ground of the machine: one Redis, wirings built once, nothing that sleeps."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from service.domain.retention import evaluation, planner, revisions
from service.prune import deleting, listing, planning
from service.reconcile import compare
from tests.fakes.valkey import Valkey
from tests.machine import faults
from tests.machine.ground import Ground

_IS_WHOLE = listing.is_whole


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plant", choices=sorted(faults.FAULTS), help="plant this fault in the product first")


@pytest.fixture
def ground(valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The ground of the machine, on which no step waits for real time to pass.

    Every push counts as old, so a missing tag is believed at once. No worker waits for the lease of a dead worker.
    The registry is known to list every tag, so that an example takes the same steps each time.
    """
    monkeypatch.setattr(listing, "is_whole", lambda *_: True)
    monkeypatch.setattr(compare, "YOUNG_S", 0.0)
    for module in (evaluation, planner, revisions):
        monkeypatch.setattr(module, "ONE_PUSH_US", 0)
    for module in (planning, deleting, listing):
        monkeypatch.setattr(module, "_WAIT_S", 0.0)
    return Ground(valkey.url, tmp_path)


@pytest.fixture(params=["storage", "api", "bucket", "bucket-unconditional"])
def mounted(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """The ground, with the storage of the registry mounted, and each way to delete."""
    ground.via, _, condition = request.param.partition("-")
    ground.obeys = not condition
    with ground.disk.watched():
        yield ground


@pytest.fixture
def tried(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The ground, with the check if the registry lists every tag."""
    monkeypatch.setattr(listing, "is_whole", _IS_WHOLE)
    return ground


@pytest.fixture(autouse=True)
def planted(request: pytest.FixtureRequest) -> Iterator[None]:
    """The planted fault that --plant names."""
    name = request.config.getoption("--plant", default=None)
    with faults.FAULTS[name]() if name else nullcontext():
        yield
