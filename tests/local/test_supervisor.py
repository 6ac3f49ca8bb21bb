"""The supervisor, with small stand-in children: restarted when they die, ended in order, never left behind."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.local import supervisor as supervising
from service.local.supervisor import Child, ChildKeepsDying, Supervisor
from service.local.transcript import Transcript
from tests.support.processes import alive
from tests.support.waiting import until

pytestmark = pytest.mark.slow


# Children write `NAME-PID` files into a folder: what is running, and what was told to stop, is seen there.
PRELUDE = """
import os, pathlib, signal, subprocess, sys, time
folder = pathlib.Path(os.environ["FOLDER"]); name = os.environ["NAME"]
def mark(what, pid=None): (folder / f"{what}-{pid or os.getpid()}").write_text("")
def forever():
    while True: time.sleep(60)
"""
SLEEPER = "mark(name); forever()"
POLITE = """
def leave(*_):
    with open(folder / "left", "a") as order: order.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave); mark(name); forever()
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); mark(name); forever()"
MASTER = """
pid = os.fork()
if pid == 0: mark("grandchild"); forever()
signal.signal(signal.SIGTERM, lambda *_: (os.kill(pid, signal.SIGTERM), sys.exit(0)))
mark(name); forever()
"""
COLLECTING = """
from service.process.die_with_parent import die_with_parent
child = subprocess.Popen(die_with_parent(["sleep", "600"])); mark("grandchild", child.pid); mark(name); forever()
"""
LEAVING_A_STRAY = 'pid = os.fork()\nif pid == 0: mark("stray"); forever()\nmark(name); forever()'

PARENT = """
import json, signal, sys
# The tests may run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from service.local.supervisor import Child, Supervisor, stopping_on_signals
from service.local.transcript import Transcript
transcript = Transcript()
with Supervisor(transcript) as supervisor, stopping_on_signals(supervisor):
    try:
        for fields in json.loads(sys.argv[1]):
            supervisor.start(Child(**{**fields, "death_signal": signal.Signals(fields["death_signal"])}))
        supervisor.wait()
    except KeyboardInterrupt:
        transcript.say("stopping")
        supervisor.stop()
"""


def environ(folder: Path, name: str) -> dict[str, str]:
    return {**os.environ, "FOLDER": str(folder), "NAME": name, "PYTHONPATH": os.pathsep.join(sys.path)}


def child(folder: Path, name: str, code: str, **fields: Any) -> Child:
    return Child(name, (sys.executable, "-c", PRELUDE + code), environ(folder, name), **fields)


def pids(folder: Path, name: str) -> list[int]:
    return sorted(int(mark.name.rpartition("-")[2]) for mark in folder.glob(f"{name}-*"))


@contextmanager
def parent(folder: Path, *children: Child) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor with these children in a process of its own."""
    shown = json.dumps([vars(item) for item in children])
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, shown],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ(folder, "parent"),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(log: io.StringIO) -> Iterator[Supervisor]:
    with Supervisor(Transcript(log)) as running:
        yield running


def test_no_child_nor_grandchild_survives_kill_9_of_the_parent(tmp_path: Path) -> None:
    web = child(tmp_path, "web", MASTER, death_signal=signal.SIGTERM)
    worker = child(tmp_path, "worker", COLLECTING)
    with parent(tmp_path, web, worker) as running:
        until(lambda: len(pids(tmp_path, "*")) == 4)
        running.kill()
        running.wait()
        until(lambda: not any(alive(pid) for pid in pids(tmp_path, "*")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_the_opposite_order_of_their_start(tmp_path: Path, number: signal.Signals) -> None:
    children = [child(tmp_path, name, POLITE, grace_s=3600) for name in ("redis", "web", "worker")]
    with parent(tmp_path, *children) as running:
        until(lambda: len(pids(tmp_path, "*")) == 3)
        running.send_signal(number)
        out, _ = running.communicate(timeout=300)
    assert running.returncode == 0
    assert (tmp_path / "left").read_text().split() == ["worker", "web", "redis"]
    assert not any(alive(pid) for pid in pids(tmp_path, "*"))
    assert out.splitlines() == ["pushprune | stopping"]


def test_a_child_that_ignores_its_stop_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    with parent(tmp_path, child(tmp_path, "worker", STUBBORN, grace_s=0.1)) as running:
        until(lambda: pids(tmp_path, "worker"))
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=300)
    assert running.returncode == 0
    assert "pushprune | worker did not stop within 0.1 s, killing it" in out


class _Finalizer:
    """Python forgets what is raised while it ends an object: so it was with the KeyboardInterrupt of a signal."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)
        for _ in range(10):
            os.getpid()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_meets_a_finalizer_is_not_lost(supervisor: Supervisor) -> None:
    with supervising.stopping_on_signals(supervisor):
        finalizer: Any = _Finalizer()
        del finalizer
        assert supervisor.stopping
        waiting = threading.Thread(target=supervisor.wait, daemon=True)
        waiting.start()
        waiting.join(240)
        assert not waiting.is_alive()
        with pytest.raises(KeyboardInterrupt):
            supervisor.check()


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    names = ("redis", "web", "worker")
    with parent(tmp_path, *(child(tmp_path, name, STUBBORN, grace_s=3600) for name in names)) as running:
        until(lambda: len(pids(tmp_path, "*")) == 3)
        running.send_signal(signal.SIGINT)
        assert running.stdout is not None
        assert "stopping" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=300)
    assert running.returncode == 0
    assert not any(alive(pid) for pid in pids(tmp_path, "*"))


def test_a_child_that_dies_while_all_are_ended_stays_dead(tmp_path: Path) -> None:
    redis, worker = child(tmp_path, "redis", SLEEPER), child(tmp_path, "worker", STUBBORN, grace_s=3600)
    with parent(tmp_path, redis, worker) as running:
        until(lambda: len(pids(tmp_path, "*")) == 2)
        running.send_signal(signal.SIGINT)
        assert running.stdout is not None
        assert "stopping" in running.stdout.readline()
        os.kill(pids(tmp_path, "redis")[0], signal.SIGKILL)
        until(lambda: not alive(pids(tmp_path, "redis")[0]))
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=300)
    assert out == ""


@pytest.mark.parametrize("name", ["redis", "web", "worker"])
def test_a_child_that_died_is_started_again_and_the_log_says_so(
    tmp_path: Path, supervisor: Supervisor, log: io.StringIO, name: str
) -> None:
    supervisor.start(child(tmp_path, name, SLEEPER))
    until(lambda: pids(tmp_path, name))
    first = supervisor.pid(name)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: len(pids(tmp_path, name)) == 2)
    assert supervisor.pid(name) != first
    assert f"pushprune | {name} was killed by SIGKILL, starting it again in 0.2 s" in log.getvalue()


def test_the_pauses_between_restarts_grow(
    tmp_path: Path, supervisor: Supervisor, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "SHORTEST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervising, "LONGEST_PAUSE_S", 0.03)
    supervisor.start(child(tmp_path, "web", "sys.exit(3)"))
    until(lambda: log.getvalue().count("\n") >= 4)
    assert [line.rpartition(" in ")[2] for line in log.getvalue().splitlines()[:4]] == [
        "0.01 s",
        "0.02 s",
        "0.03 s",
        "0.03 s",
    ]
    assert "web ended with exit code 3" in log.getvalue()


def test_a_child_that_lived_long_is_restarted_soon_again(
    tmp_path: Path, supervisor: Supervisor, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "SHORTEST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervising, "STEADY_S", 0.0)
    supervisor.start(child(tmp_path, "web", "sys.exit(3)"))
    until(lambda: log.getvalue().count("\n") >= 3)
    assert "again in 0.02 s" not in log.getvalue()


def test_waiting_for_a_child_that_keeps_dying_is_given_up(
    tmp_path: Path, supervisor: Supervisor, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "SHORTEST_PAUSE_S", 0.01)
    supervisor.check()
    supervisor.start(child(tmp_path, "web", "sys.exit(3)"))
    until(lambda: "again in 0.04 s" in log.getvalue())
    with pytest.raises(ChildKeepsDying, match="web ended"):
        supervisor.check()


def test_a_child_that_cannot_be_started_at_all_is_tried_again(
    tmp_path: Path, supervisor: Supervisor, log: io.StringIO
) -> None:
    home = tmp_path / "home"
    supervisor.start(child(tmp_path, "web", SLEEPER, cwd=home))
    until(lambda: "web could not be started (No such file or directory)" in log.getvalue())
    home.mkdir()
    until(lambda: pids(tmp_path, "web"))


def test_processes_left_by_a_dead_child_are_ended_before_its_restart(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(child(tmp_path, "web", LEAVING_A_STRAY))
    until(lambda: pids(tmp_path, "web") and pids(tmp_path, "stray"))
    stray = pids(tmp_path, "stray")[0]
    os.kill(supervisor.pid("web") or 0, signal.SIGKILL)
    until(lambda: len(pids(tmp_path, "web")) == 2)
    assert not alive(stray)


def test_a_lock_a_child_holds_lasts_until_it_is_gone(tmp_path: Path, supervisor: Supervisor) -> None:
    read_end, write_end = os.pipe()
    supervisor.start(child(tmp_path, "web", SLEEPER, held_fds=(write_end,)))
    until(lambda: pids(tmp_path, "web"))
    os.close(write_end)
    os.set_blocking(read_end, False)
    with pytest.raises(BlockingIOError):  # another process still holds the other end
        os.read(read_end, 1)
    supervisor.stop()
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_the_output_of_children_is_printed_line_by_line_under_their_names(
    tmp_path: Path, supervisor: Supervisor, log: io.StringIO
) -> None:
    talk = 'print("to stdout", flush=True); print("to stderr", file=sys.stderr, flush=True); forever()'
    for name in ("web", "worker"):
        supervisor.start(child(tmp_path, name, talk))
    until(lambda: log.getvalue().count("\n") == 4)
    assert sorted(log.getvalue().splitlines()) == [
        "web       | to stderr",
        "web       | to stdout",
        "worker    | to stderr",
        "worker    | to stdout",
    ]
