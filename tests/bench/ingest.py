"""POST /notifications with its Redis write, against a bare Flask view that answers the same JSON."""

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figure import Figure, median, spread
from tests.bench.servers import BARE, OURS, TOKEN, Server
from tests.fakes.valkey import Valkey

TARGET = 0.8
ROUNDS = 5
SECONDS = 2
CONNECTIONS = 16
PROCESSES, CARRIED = 4, 4_000
KINDS = {
    "blob": "a blob's push",
    "manifest": "a manifest's push, its repository due already",
    "due": "a manifest's push that sends a message",
    "mix": "3 blobs and a manifest, as a push makes",
}
_SCRIPT = Path(__file__).with_name("notifications.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """The work of a server in a round: requests per second, and processor time for each (µs), its own and of Redis."""

    rate: float
    cpu_us: float
    redis_us: float


def measure() -> Iterator[Figure]:
    """Alternate the applications round by round, so that what slows the machine slows them alike."""
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
        loads = _rounds(servers, valkey, "mix", keep_alive=False)
        yield from _compared(what, loads)
        yield _carried(loads["pushprune"])


def _carried(loads: list[Load]) -> Figure:
    """The events a second of several processes with a core each, and one Redis: whatever is full first."""
    own_us, redis_us = median([load.cpu_us for load in loads]), median([load.redis_us for load in loads])
    rate = min(PROCESSES / own_us, 1 / redis_us) * 1_000_000
    measured = (
        f"{rate:,.0f}/s by processor time: {own_us:.0f} µs of a process and {redis_us:.0f} µs of Redis for an event"
    )
    return Figure(f"ingest: {PROCESSES} processes and one Redis", measured, f"≥ {CARRIED:,}/s", rate >= CARRIED)


def _compared(what: str, loads: dict[str, list[Load]]) -> Iterator[Figure]:
    """The ratios to the bare view, within each round.

    Redis and wrk share the processors with the server. So on a busy machine only the processor time is comparable.
    """
    ours, bare = loads["pushprune"], loads["bare"]
    rate = median([own.rate / base.rate for own, base in zip(ours, bare, strict=True)])
    cpu = median([base.cpu_us / own.cpu_us for own, base in zip(ours, bare, strict=True)])
    rates = f"{spread([load.rate for load in ours], '/s')} against {spread([load.rate for load in bare], '/s')}"
    times = f"{median([load.cpu_us for load in ours]):.0f} against {median([load.cpu_us for load in bare]):.0f} µs"
    measured = f"{rate:.2f}× of bare: {rates}; by processor time {cpu:.2f}×: {times}"
    yield Figure(f"ingest: {what}", measured, f"≥ {TARGET}×", rate >= TARGET)


def _rounds(servers: dict[str, Server], valkey: Valkey, kind: str, *, keep_alive: bool) -> dict[str, list[Load]]:
    """The load of each server, per round. The first round warms up and does not count."""
    loads: dict[str, list[Load]] = {name: [] for name in servers}
    for number in range(ROUNDS + 1):
        for name, server in servers.items():
            valkey.client().flushall()
            load = _load(server, valkey, kind, keep_alive=keep_alive)
            if number:
                loads[name].append(load)
    return loads


def _load(server: Server, valkey: Valkey, kind: str, *, keep_alive: bool) -> Load:
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s"]
    words = [kind, uuid.uuid4().hex[:13], TOKEN, "yes" if keep_alive else "no"]
    before_s, redis_before_s = server.cpu_s(), _redis_s(valkey)
    messages = subprocess.run(
        [*command, "--script", str(_SCRIPT), server.url, "--", *words], capture_output=True, text=True, check=True
    ).stdout
    used_s, redis_s = server.cpu_s() - before_s, _redis_s(valkey) - redis_before_s
    result = json.loads(messages.splitlines()[-1])
    if result["bad"]:
        raise RuntimeError(f"{result['bad']} of {result['requests']} requests failed at {server.url}:\n{messages}")
    per_request = 1e6 / result["requests"]
    return Load(float(result["requests"] / result["us"] * 1e6), used_s * per_request, redis_s * per_request)


def _redis_s(valkey: Valkey) -> float:
    """The processor time that Redis has used."""
    used = valkey.client().info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])
