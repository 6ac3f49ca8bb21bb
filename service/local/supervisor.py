"""Run several processes as one: start them, restart those that die, end them in order, and leave no orphan."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

from service.domain.errors import PushpruneError
from service.local.transcript import Transcript
from service.process.die_with_parent import die_with_parent

# The wait before the first restart. It doubles with each further death.
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 15.0
# After a life of this length, the next wait is the shortest again.
STEADY_S = 30.0
# A dead child's descendants may hold its output open: reading ends after this time.
LAST_WORDS_S = 1.0
# The longest single sleep: a signal that comes just before the main thread sleeps does not wake it.
TURN_S = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ChildKeepsDying(PushpruneError):
    """A process ended again and again before the system was ready."""


@dataclass(frozen=True)
class Child:
    """One process to keep running.

    Attributes:
        death_signal: sent by the kernel when the supervisor dies.
        grace_s: the time after SIGTERM before SIGKILL.
        held_fds: inherited by the child, so that their locks are held until the child and all its descendants ended.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path | None = None
    death_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 5.0
    held_fds: tuple[int, ...] = ()


class Keeper(threading.Thread):
    """The thread of one child.

    The kernel ties the child to the thread that started it (`die_with_parent`), so the thread must live as long.
    """

    def __init__(self, child: Child, transcript: Transcript, all_end: Callable[[], bool]) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            all_end: returns True if no child may be started any more.
        """
        super().__init__(name=f"keeper of {child.name}", daemon=True)
        self.child = child
        self.deaths = 0
        self._transcript = transcript
        self._all_end = all_end
        self._asked_to_stop = threading.Event()
        # Reentrant: the signal handler may run in a thread that holds the lock.
        self._lock = threading.RLock()
        # None after the child was reaped: its pid may belong to another process then.
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the running process; None if it is not running."""
        with self._lock:
            return self._process.pid if self._process else None

    def run(self) -> None:
        """Run the process, and start it again after each end, until the supervisor stops."""
        pause_s = SHORTEST_PAUSE_S
        while not self._is_over():
            born = time.monotonic()
            manner = self._live()
            if self._is_over():
                return
            self.deaths += 1
            if time.monotonic() - born >= STEADY_S:
                pause_s = SHORTEST_PAUSE_S
            self._transcript.say(f"{self.child.name} {manner}, starting it again in {pause_s:g} s")
            self._asked_to_stop.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """Ask the child to end, and kill it after its grace. On return, its whole process group has ended."""
        self._asked_to_stop.set()
        with self._lock:
            if self._process:
                # Popen.send_signal would reap the child, and `_reap` could no longer signal its group.
                os.kill(self._process.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.child.grace_s
        while self.is_alive() and time.monotonic() < deadline:
            self.join(TURN_S)
        if self.is_alive():
            self._transcript.say(f"{self.child.name} did not stop within {self.child.grace_s:g} s, killing it")
            self.kill()
            self.join()

    def kill(self) -> None:
        """Send SIGKILL to the child's whole process group."""
        with self._lock:
            if self._process:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _is_over(self) -> bool:
        return self._asked_to_stop.is_set() or self._all_end()

    def _live(self) -> str:
        try:
            process = self._launch()
        except OSError as error:
            return f"could not be started ({error.strerror})"
        return _manner(self._reap(process)) if process else ""

    def _launch(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._is_over():
                return None
            self._process = subprocess.Popen(
                die_with_parent(self.child.command, self.child.death_signal),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self.child.environ),
                cwd=self.child.cwd,
                # A Ctrl-C in the terminal must reach only the supervisor, which ends the children in order.
                process_group=0,
                pass_fds=self.child.held_fds,
            )
            return self._process

    def _reap(self, process: subprocess.Popen[bytes]) -> int:
        """Relay the child's output until it dies, kill its descendants, and return its exit code."""
        relay = threading.Thread(target=self._transcript.relay, args=(process.stdout, self.child.name), daemon=True)
        relay.start()
        # WNOWAIT does not reap the child, so its pid cannot belong to another process before `kill`.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.kill()
        relay.join(LAST_WORDS_S)
        with self._lock:
            self._process = None
            return process.wait()


class Supervisor:
    """Several children as one: started in the given order, ended in the opposite order.

    Attributes:
        stopping: True if no child is started any more.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.stopping = False
        self._transcript = transcript
        self._keepers: list[Keeper] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, child: Child) -> None:
        """Start the child and keep it running until `stop`."""
        keeper = Keeper(child, self._transcript, lambda: self.stopping)
        self._keepers.append(keeper)
        keeper.start()

    def wait(self) -> None:
        """Wait until a signal asks to stop.

        `stopping` is polled: a KeyboardInterrupt that is raised inside a finalizer is lost.
        """
        while not self.stopping:
            time.sleep(TURN_S)

    def stop(self) -> None:
        """End all children, the youngest first. On return, no process of theirs runs."""
        self.stopping = True
        for keeper in reversed(self._keepers):
            keeper.stop()
        self._keepers.clear()

    def kill(self) -> None:
        """End all children at once, without asking. For a signal handler while `stop` is under way."""
        for keeper in self._keepers:
            keeper.kill()

    def pid(self, name: str) -> int | None:
        """Return the child's process id; None while it does not run."""
        return self._keeper(name).pid

    def check(self, deaths: int = 3) -> None:
        """Raise ChildKeepsDying if a child died `deaths` times, KeyboardInterrupt if a signal asked to stop."""
        if self.stopping:
            raise KeyboardInterrupt
        for keeper in self._keepers:
            if keeper.deaths >= deaths:
                raise ChildKeepsDying(
                    f"{keeper.child.name} ended {keeper.deaths} times, see its lines in the log above."
                )

    def _keeper(self, name: str) -> Keeper:
        return next(keeper for keeper in self._keepers if keeper.child.name == name)


@contextmanager
def stopping_on_signals(supervisor: Supervisor) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into a KeyboardInterrupt; a second signal kills all children at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if supervisor.stopping:
            supervisor.kill()
        else:
            supervisor.stopping = True
            raise KeyboardInterrupt

    heeded = [number for number in STOP_SIGNALS if number != signal.SIGHUP or not _run_by_nohup()]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_by_nohup() -> bool:
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def _manner(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
