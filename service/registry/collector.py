"""Run garbage-collect, and ensure that it dies with this process."""

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from service.domain.errors import CollectionFailed, CollectionTooSlow
from service.process import identity
from service.process.child_environment import child_environment
from service.process.die_with_parent import die_with_parent
from service.registry.collector_report import Report
from service.registry.storage import Storage

_POLL_S = 0.1
_PROOF_S = 1.0
_LOCK_BYTES = 200


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of the command: its exit code and its parsed output."""

    exit_code: int
    report: Report

    @property
    def succeeded(self) -> bool:
        """True if the command did not fail. Exit code 1 on a storage without any push is no failure."""
        return self.exit_code == 0 or self.report.nothing_yet


class Collector:
    """The configured `registry garbage-collect` command, of which only one runs at a time on this host."""

    def __init__(self, command: Sequence[str], lock: Path, timeout_s: float, storage: Storage | None = None) -> None:
        """command: without --dry-run. lock: the file of the kernel lock. timeout_s: for each run."""
        self._command = list(command)
        self._lock = lock
        self._claimed: int | None = None
        self._proved: tuple[str, float] = "", 0.0
        self._timeout_s = timeout_s
        self._hears: Callable[[str], object] = lambda line: None
        self.storage = storage

    def with_listener(self, listener: Callable[[str], object]) -> "Collector":
        """Return a copy that calls `listener` with each line of its output."""
        collector = copy(self)
        collector._hears = listener
        return collector

    def run(self, may_go_on: Callable[[], bool], *, rehearsal: Report | None = None) -> Finished:
        """Run the command to its end.

        Args:
            may_go_on: if it returns False, the command is killed with all processes that it started.
            rehearsal: the report of the dry run, from which the sweep must not differ; None: do the dry run.

        Raises:
            CollectionFailed: the command cannot be started, already runs on this host, was stopped, or is about to
                delete a blob that is not in the rehearsal.
            CollectionTooSlow: the command took longer than the timeout.
        """
        command = self._command if rehearsal else [*self._command, "--dry-run"]
        claimed = self._claimed
        self._hears("$ gc.command" if rehearsal else "$ gc.command --dry-run")
        with (
            self._locked() if claimed is None else nullcontext(claimed) as lock,
            self._started(command, lock) as process,
        ):
            report = self._watch(process, may_go_on, rehearsal)
            exit_code = process.wait()
            self._hears(f"exit code {exit_code}")
            return Finished(exit_code, report)

    @contextmanager
    def claimed(self, token: str, succeed: Callable[[str, bool], object] = lambda *_: None) -> Iterator[None]:
        """Hold the kernel lock while the block runs, with a token written into its file.

        Every run inherits the lock, as does every process that it starts. A process that can take the lock later, and
        reads that token, has proved that the holder released it or is dead, and that none of its collectors runs.

        Args:
            token: of the new holder.
            succeed: called with the token of the previous holder, and True if the death of that holder is proved.

        Raises:
            CollectionFailed: a collector still runs on this host.
        """
        with self._locked() as lock:
            # Before the token is overwritten, because the token of the previous holder is the proof.
            if (before := _token_in(lock)) and before != token:
                succeed(before, self._proves(lock))
            self._write(lock, f"{token} {identity.boot()}\n".ljust(_LOCK_BYTES), 0)
            self._claimed = lock
            try:
                yield
            finally:
                self._claimed = None

    def reserve(self) -> None:
        """Make the file of the lock in its full size, so that a collection is possible later on a full disk."""
        # If this fails, the next collection reports the reason. A network filesystem may have no locks.
        with suppress(CollectionFailed, OSError), self._locked() as lock:
            size = os.fstat(lock).st_size
            self._write(lock, " " * (_LOCK_BYTES - size), size)

    def _write(self, lock: int, text: str, offset: int) -> None:
        """Write a part of the file of the lock."""
        # The file is never truncated: a full disk might not have room for it again.
        try:
            os.pwrite(lock, text.encode(), offset)
            os.fsync(lock)
        except OSError as error:
            sentence = f"{self._lock} cannot be written ({error.strerror}): make room for it, such as by `pushprune rm`"
            raise CollectionFailed(sentence) from error

    def is_dead(self, token: str) -> bool:
        """True if it is proved that neither the holder with this token nor its collectors can still run."""
        try:
            # For a proof, a read-only mount is enough.
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if _token_in(descriptor) != token or not self._proves(descriptor):
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Read again under the lock: another holder may have taken and released it since the first look.
            return _token_in(descriptor) == token
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def dead_for_s(self, token: str) -> float:
        """The seconds since this process first proved that the holder with this token is dead. 0 without a proof."""
        if not self.is_dead(token):
            return 0.0
        if self._proved[0] != token:
            self._proved = token, time.monotonic()
        return time.monotonic() - self._proved[1]

    def _proves(self, lock: int) -> bool:
        """True if a free lock proves the death of its last holder, because no other kernel can have held the lock.

        On a network filesystem, the lock of another machine may be invisible here, or lost while its collector still
        runs.
        """
        boot = _words_in(lock)[1:2]
        return (bool(boot) and boot[0] == identity.boot()) or identity.is_of_one_kernel(self._lock)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Take the kernel lock. The collector inherits the lock and keeps it as long as this process or it lives."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            setting = "storage.path" if self.storage else "data_dir"
            raise CollectionFailed(
                f"{self._lock} cannot be written ({error.strerror}): let user {os.geteuid()}, as whom pushprune runs, "
                f"write in its folder, or correct {setting}"
            ) from error
        try:
            _take(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _started(self, command: list[str], lock: int) -> Iterator[subprocess.Popen[str]]:
        try:
            process = subprocess.Popen(
                die_with_parent(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", start_new_session=True, pass_fds=(lock,), env=child_environment(),
            )  # fmt: skip
        except OSError as error:
            raise CollectionFailed(f"gc.command cannot be run: {error}") from error
        try:
            yield process
        finally:
            _kill(process)

    def _watch(self, process: subprocess.Popen[str], may_go_on: Callable[[], bool], rehearsal: Report | None) -> Report:
        report, end = Report(), time.monotonic() + self._timeout_s
        assert process.stdout is not None  # noqa: S101 - Popen was called with a pipe
        for line in _lines(process.stdout):
            if line:
                self._hears(line)
                report.read(line)
                if rehearsal and (excess := report.excess(rehearsal)):
                    raise CollectionFailed(f"it was stopped: {excess}; it will be tried again")
            if not may_go_on():
                raise CollectionFailed("it was stopped because its lease could not be renewed; it will be tried again")
            if time.monotonic() > end:
                raise CollectionTooSlow(f"it took longer than gc.timeout ({self._timeout_s:.0f} s) and was stopped")
        return report


def _take(descriptor: int) -> None:
    """Take the lock."""
    # A process that looks for a proof of death may hold the lock for a moment.
    end = time.monotonic() + _PROOF_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise CollectionFailed(
                    "another garbage-collect still runs on this host; this one will be tried again"
                ) from error
            time.sleep(_POLL_S / 10)


def _token_in(descriptor: int) -> str:
    return next(iter(_words_in(descriptor)), "")


def _words_in(descriptor: int) -> list[str]:
    """The token of the last holder, and the boot id of its kernel."""
    return os.pread(descriptor, _LOCK_BYTES, 0).decode("ascii", "replace").split()


def _lines(stream: IO[str]) -> Iterator[str]:
    """Yield each line as it arrives, and an empty string at intervals while none arrives."""
    descriptor, pending = stream.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(_POLL_S):
                yield ""
                continue
            chunk = os.read(descriptor, 65_536)
            *complete, pending = (pending + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in complete)
            if not chunk:
                yield pending.decode("utf-8", "replace")
                return


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill the whole process group and wait for its end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
