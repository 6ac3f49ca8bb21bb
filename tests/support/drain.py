"""A collection on its way behind the write gate: at a stage, after a dead holder, beside a busy registry."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.collect import run as collect_run
from service.domain.collection.gate import client_of
from service.domain.collection.run import Run
from service.registry.debug import DebugServer
from service.wiring import Wiring
from tests.support.waiting import until

ANN = client_of("10.0.0.7", "docker/27")


def collect(wiring: Wiring, reason: str = "by hand") -> Run:
    """One collection, as a worker makes it."""
    wiring.store.collections.request(reason)
    collect_run.collect(wiring)
    return wiring.store.collection_runs.latest()[0]


@contextmanager
def collecting(wiring: Wiring, folder: Path, at: str = "dry") -> Iterator[None]:
    """A collection that has come so far, and ends with the block."""
    wiring.store.collections.request("by hand")
    thread = threading.Thread(target=collect_run.collect, args=(wiring,))
    thread.start()
    until(lambda: (folder / at).exists())
    try:
        yield
    finally:
        (folder / "go").touch()
        thread.join(240)


def state(wiring: Wiring) -> str:
    held = wiring.store.gate.state()
    return held.state if held else "open"


def leave_behind(wiring: Wiring, token: str = "dead") -> None:
    """Leave what a dead holder leaves: a closed gate, and a lock without a holder."""
    assert wiring.registry.collector is not None
    with wiring.registry.collector.claimed(token):
        wiring.store.gate.drain(token, 1, "by hand")
        wiring.store.gate.close(token)


class Counted(DebugServer):
    """A stand-in for the registry's debug server, which says what a test wants."""

    def __init__(self, writes: int = 0, undelivered: int = 0) -> None:
        super().__init__((), timeout_s=1)
        self.said = (writes, undelivered)
        self.asked = threading.Event()

    def writes(self) -> int:
        self.asked.set()
        return self.said[0]

    def undelivered(self) -> int:
        return self.said[1]


@contextmanager
def obeying(wiring: Wiring) -> Iterator[None]:
    """Run a gate process that obeys, until the block ends."""
    ended = threading.Event()

    def obey() -> None:
        token = ""
        while not ended.wait(0.01):
            signed = wiring.store.gate.check_in("web:1", token)
            token = signed.token if signed.state == "closed" else ""

    thread = threading.Thread(target=obey)
    thread.start()
    try:
        until(lambda: bool(wiring.store.gate.processes()))
        yield
    finally:
        ended.set()
        thread.join()
