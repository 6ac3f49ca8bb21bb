"""A child process hears of its parent's death, whatever killed it, and is otherwise the command as given."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.process.die_with_parent import die_with_parent
from tests.support.processes import alive
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's own")

# A parent that starts one such child from its main thread or another and writes the child's pid down.
PARENT = """
    import signal, subprocess, sys, threading, time
    from service.process.die_with_parent import die_with_parent
    child_code, pid_file, death_signal, in_thread = sys.argv[1:]
    command = die_with_parent([sys.executable, "-c", child_code], signal.Signals(int(death_signal)))
    def start():
        child = subprocess.Popen(command)
        open(pid_file, "w").write(str(child.pid))
    def start_and_linger():
        start()
        sys.stdin.readline()
    if in_thread == "yes":
        threading.Thread(target=start_and_linger).start()
    else:
        start()
    while True: time.sleep(60)
"""
SLEEPER = "import time\nwhile True: time.sleep(60)"
NOTING_SIGTERM = """
import signal, sys, time
def note(*_): open({note!r}, "w").write("terminated"); sys.exit(0)
signal.signal(signal.SIGTERM, note)
open({ready!r}, "w").write("ready")
while True: time.sleep(60)
"""


class Family:
    """A running parent and its child, known by pid."""

    def __init__(self, parent: subprocess.Popen[bytes], pid_file: Path) -> None:
        self.parent = parent
        self.pid_file = pid_file

    @property
    def child_pid(self) -> int:
        return int(self.pid_file.read_text())

    def child_is_running(self) -> bool:
        """True once the launcher has become the command, so that the signal is set."""
        if not self.pid_file.exists() or not self.pid_file.read_text():
            return False
        return b"die_with_parent.py" not in Path(f"/proc/{self.child_pid}/cmdline").read_bytes()

    def kill_parent(self) -> None:
        self.parent.kill()
        self.parent.wait()


@contextmanager
def family(
    pid_file: Path, child_code: str = SLEEPER, death: signal.Signals = signal.SIGKILL, *, in_thread: bool = False
) -> Iterator[Family]:
    arguments = [child_code, str(pid_file), str(int(death)), "yes" if in_thread else "no"]
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), *arguments],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield Family(parent, pid_file)
    finally:
        parent.kill()
        parent.communicate()


def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    with family(tmp_path / "pid") as both:
        until(both.child_is_running)
        both.kill_parent()
        until(lambda: not alive(both.child_pid))


def test_a_child_whose_parent_died_before_the_leash_was_on_never_becomes_the_command(tmp_path: Path) -> None:
    command = die_with_parent([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"])
    command[command.index(str(os.getpid()))] = "1"  # another parent than the one that asked
    ended = subprocess.run(command, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "ran").exists()


def test_the_death_signal_is_the_one_asked_for(tmp_path: Path) -> None:
    note, ready = tmp_path / "note", tmp_path / "ready"
    code = NOTING_SIGTERM.format(note=str(note), ready=str(ready))
    with family(tmp_path / "pid", code, signal.SIGTERM) as both:
        until(ready.exists)
        both.kill_parent()
        until(lambda: not alive(both.child_pid))
    assert note.read_text() == "terminated"


def test_the_end_of_the_thread_that_started_it_counts_as_death(tmp_path: Path) -> None:
    with family(tmp_path / "pid", in_thread=True) as both:
        until(both.child_is_running)
        assert both.parent.stdin is not None
        both.parent.stdin.write(b"\n")
        both.parent.stdin.flush()
        until(lambda: not alive(both.child_pid))
        assert both.parent.poll() is None


def test_the_command_gets_its_arguments_environment_exit_code_and_streams_as_they_are() -> None:
    code = "import os, sys; print(sys.argv[1:], os.environ['GIVEN'], sys.stdin.read()); sys.exit(7)"
    ended = subprocess.run(
        die_with_parent([sys.executable, "-c", code, "--flag", "a b", "-I"]),
        input="typed",
        env={**os.environ, "GIVEN": "environment"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "['--flag', 'a b', '-I'] environment typed\n"
    assert (ended.stderr, ended.returncode) == ("", 7)


def test_the_command_keeps_the_pid_that_was_started() -> None:
    child = subprocess.Popen(
        die_with_parent([sys.executable, "-c", "import os; print(os.getpid())"]), stdout=subprocess.PIPE
    )
    out, _ = child.communicate()
    assert int(out) == child.pid


def test_a_broken_pipe_still_kills_the_command() -> None:
    """Python ignores SIGPIPE for itself; a command that inherits that would write into nothing for ever."""
    shown = subprocess.run(
        die_with_parent(["grep", "SigIgn", "/proc/self/status"]), capture_output=True, text=True, check=True
    )
    ignored = int(shown.stdout.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


def test_a_command_that_does_not_exist_is_127_and_one_sentence() -> None:
    ended = subprocess.run(die_with_parent(["no-such-command"]), capture_output=True, text=True, check=False)
    assert ended.returncode == 127
    assert ended.stderr == "no-such-command could not be started: No such file or directory.\n"


def test_a_command_that_may_not_run_is_126(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    ended = subprocess.run(die_with_parent([str(plain)]), capture_output=True, text=True, check=False)
    assert ended.returncode == 126


def test_elsewhere_the_command_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert die_with_parent(["sleep", "1"]) == ["sleep", "1"]
