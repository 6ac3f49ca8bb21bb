"""Keeps named processes running as one: starts them, restarts what died, ends them in order, leaves no orphan."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from service.die_with_parent import leashed
from service.domain.errors import PushpruneError
from service.local.transcript import Transcript

SHORTEST_PAUSE_S = 0.2  # before the first restart; doubles with each further death
LONGEST_PAUSE_S = 15.0
STEADY_S = 30.0  # a child that lived this long starts with a clean slate
LAST_WORDS_S = 1.0  # how long to go on reading what a dead child's descendants may still hold open
# Longest wait in one piece: a signal that comes just before the main thread goes to sleep does not wake it.
TURN_S = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ChildKeepsDying(PushpruneError):
    """A process ended again and again before the whole was ready."""


@dataclass(frozen=True)
class Child:
    """One process to keep running, and how it wants to be ended.

    `death_signal` is what it gets when we die without a word; `grace_s` how long `stop_signal` is given to work.
    `held_fds` are passed on, so that what they lock stays locked until the child and all its descendants are gone.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 5.0
    held_fds: tuple[int, ...] = ()


class Keeper(threading.Thread):
    """One child's own thread: the kernel ties the child to it (see leash), so it lives as long as the child does."""

    def __init__(self, child: Child, transcript: Transcript, all_end: Callable[[], bool]) -> None:
        """all_end: whether no child is to be started any more."""
        super().__init__(name=f"keeper of {child.name}", daemon=True)
        self.child = child
        self.deaths = 0
        self._transcript = transcript
        self._all_end = all_end
        self._asked_to_stop = threading.Event()
        self._lock = threading.RLock()  # the signal handler may come while its thread holds it
        self._process: subprocess.Popen[bytes] | None = None  # None once it is buried: its pid may belong to others

    @property
    def pid(self) -> int | None:
        with self._lock:
            return self._process.pid if self._process else None

    def run(self) -> None:
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
        """Ask the child to end, insist once its grace is over; it and its process group are gone on return."""
        self._asked_to_stop.set()
        with self._lock:
            if self._process:
                os.kill(self._process.pid, self.child.stop_signal)  # Popen.send_signal would reap it behind our back
        deadline = time.monotonic() + self.child.grace_s
        while self.is_alive() and time.monotonic() < deadline:
            self.join(TURN_S)
        if self.is_alive():
            self._transcript.say(f"{self.child.name} did not stop within {self.child.grace_s:g} s, killing it")
            self.kill()
            self.join()

    def kill(self) -> None:
        """SIGKILL to the child's whole process group, now."""
        with self._lock:
            if self._process:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _is_over(self) -> bool:
        return self._asked_to_stop.is_set() or self._all_end()

    def _live(self) -> str:
        """Run the child once and say how it ended."""
        try:
            process = self._launch()
        except OSError as error:
            return f"could not be started ({error.strerror})"
        return _manner(self._bury(process)) if process else ""

    def _launch(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._is_over():
                return None
            self._process = subprocess.Popen(
                leashed(self.child.command, self.child.death_signal),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self.child.environ),
                cwd=self.child.cwd,
                process_group=0,  # a Ctrl-C in the terminal is for us alone: we end the children in order
                pass_fds=self.child.held_fds,
            )
            return self._process

    def _bury(self, process: subprocess.Popen[bytes]) -> int:
        """Relay what the child says until it dies, end what it left behind, and return its exit code."""
        relay = threading.Thread(target=self._transcript.relay, args=(process.stdout, self.child.name), daemon=True)
        relay.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not reaped yet: the pid is still ours to signal
        self.kill()
        relay.join(LAST_WORDS_S)
        with self._lock:
            self._process = None
            return process.wait()


class Supervisor:
    """Several children as one: started in the order given, ended in the opposite one.

    stopping: no child is started any more, whatever dies.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.stopping = False
        self._transcript = transcript
        self._keepers: list[Keeper] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, child: Child) -> None:
        """Start the child and keep it running until `stop`."""
        keeper = Keeper(child, self._transcript, lambda: self.stopping)
        self._keepers.append(keeper)
        keeper.start()

    def wait(self) -> None:
        """Wait until a signal says to stop: its KeyboardInterrupt is lost where it meets a finalizer."""
        while not self.stopping:
            time.sleep(TURN_S)

    def stop(self) -> None:
        """End all children, the youngest first. Nothing of them runs on return."""
        self.stopping = True
        for keeper in reversed(self._keepers):
            keeper.stop()
        self._keepers.clear()

    def kill(self) -> None:
        """End all children at once, without asking. For a signal handler while `stop` is under way."""
        for keeper in self._keepers:
            keeper.kill()

    def pid(self, name: str) -> int | None:
        """The child's process id; None while it is down."""
        return self._keeper(name).pid

    def check(self, deaths: int = 3) -> None:
        """Raise ChildKeepsDying when a child died that often, KeyboardInterrupt when a signal said to stop."""
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
    """Make SIGINT, SIGTERM and SIGHUP a KeyboardInterrupt here; asked again while stopping, kill all at once."""

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
