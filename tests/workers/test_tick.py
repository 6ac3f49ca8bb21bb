"""The heartbeat of a worker process."""

import threading
from pathlib import Path

import pytest

from tests.conftest import MakeWiring
from tests.support.collectors import QUIET, collector
from workers.tick import Tick


@pytest.mark.parametrize(("queue", "is_there"), [("garbage", True), ("enforce", False)])
def test_a_worker_that_collects_makes_the_file_of_its_lock_at_its_start(
    make_wiring: MakeWiring, tmp_path: Path, queue: str, is_there: bool
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET), storage={"path": str(tmp_path)})
    stopping = threading.Event()
    stopping.set()
    Tick(wiring, "first@a", (f"{wiring.settings.redis.prefix}{queue}",)).run(stopping)
    assert (tmp_path / ".pushprune-collect.lock").exists() == is_there
