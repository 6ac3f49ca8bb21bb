"""POST /notifications with its Redis write, against a bare Flask view that answers the same JSON."""

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figure import Figure, median, spread
from tests.bench.servers import BARE, OURS, TOKEN, Server
from tests.fakes.valkey import Valkey

TARGET = 0.8
ROUNDS = 5
SECONDS = 2
CONNECTIONS = 16
KINDS = {
    "blob": "a blob's push",
    "manifest": "a manifest's push, its repository due already",
    "due": "a manifest's push that sends a message",
    "mix": "3 blobs and a manifest, as a push makes",
}
_SCRIPT = Path(__file__).with_name("notifications.lua")


def measure() -> Iterator[Figure]:
    """Alternates the applications round by round, so that what slows the machine slows them alike."""
    if shutil.which("wrk") is None:
        yield Figure("ingest", "not measured: wrk is missing; install it (Debian: apt-get install wrk)")
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        valkey = stack.enter_context(Valkey(folder / "redis", append_only=True))
        valkey.client().config_set("appendfsync", "everysec")  # as in production
        made = {"bare": BARE, "pushprune": OURS}
        servers = {name: stack.enter_context(Server(folder, command, valkey.url)) for name, command in made.items()}
        for kind, what in KINDS.items():
            yield from _compared(what, _rounds(servers, valkey, kind, keep_alive=True))
        what = f"{KINDS['mix']}, a new connection each, as a registry makes"
        yield from _compared(what, _rounds(servers, valkey, "mix", keep_alive=False))


def _compared(what: str, rates: dict[str, list[float]]) -> Iterator[Figure]:
    """The ratio to the bare view, within each round."""
    ratio = _ratio(rates["pushprune"], rates["bare"])
    measured = f"{ratio:.2f}× of bare: {spread(rates['pushprune'], '/s')} against {spread(rates['bare'], '/s')}"
    yield Figure(f"ingest: {what}", measured, f"≥ {TARGET}×", ratio >= TARGET)


def _ratio(rates: list[float], bare: list[float]) -> float:
    return median([ours / base for ours, base in zip(rates, bare, strict=True)])


def _rounds(servers: dict[str, Server], valkey: Valkey, kind: str, *, keep_alive: bool) -> dict[str, list[float]]:
    """Requests per second of each server, per round. The first round warms up and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(ROUNDS + 1):
        for name, server in servers.items():
            valkey.client().flushall()
            rate = _rate(server, kind, keep_alive=keep_alive)
            if number:
                rates[name].append(rate)
    return rates


def _rate(server: Server, kind: str, *, keep_alive: bool) -> float:
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s"]
    words = [kind, uuid.uuid4().hex[:13], TOKEN, "yes" if keep_alive else "no"]
    messages = subprocess.run(
        [*command, "--script", str(_SCRIPT), server.url, "--", *words], capture_output=True, text=True, check=True
    ).stdout
    result = json.loads(messages.splitlines()[-1])
    if result["bad"]:
        raise RuntimeError(f"{result['bad']} of {result['requests']} requests failed at {server.url}:\n{messages}")
    return float(result["requests"] / result["us"] * 1e6)
