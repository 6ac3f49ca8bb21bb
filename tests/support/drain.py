"""Makers for tests of drain."""

import threading

from service.collect import run as collect_run
from service.domain.collection.run import Run
from service.domain.gate import client_of
from service.wiring import Wiring

ANN = client_of("10.0.0.7", "docker/27")


def collect(wiring: Wiring) -> Run:
    """One collection, as a worker makes it."""
    wiring.garbage.request("by hand")
    collect_run.collect(wiring)
    return wiring.garbage.runs()[0]


def state(wiring: Wiring) -> str:
    held = wiring.gate.standing()
    return held.state if held else "open"


def leave_behind(wiring: Wiring, token: str = "dead") -> None:
    """What a holder that died leaves: a closed gate, and a lock that nobody holds."""
    assert wiring.collector is not None
    with wiring.collector.claimed(token):
        wiring.gate.drain(token, 1, "by hand")
        wiring.gate.close(token)


class Counted:
    """Stands for the registry's debug server."""

    def __init__(self, writes: int = 0, undelivered: int = 0) -> None:
        self.said = (writes, undelivered)
        self.asked = threading.Event()

    def writes(self) -> int:
        self.asked.set()
        return self.said[0]

    def undelivered(self) -> int:
        return self.said[1]


def obey(wiring: Wiring, over: threading.Event) -> None:
    """A gate process."""
    token = ""
    while not over.wait(0.01):
        signed = wiring.gate.sign("web:1", token)
        token = signed.token if signed.state == "closed" else ""
