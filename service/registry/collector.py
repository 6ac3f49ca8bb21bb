"""Runs garbage-collect, reads what it printed, and sees to it that it dies with us."""

import fcntl
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from service import process_identity
from service.child_environment import child_environment
from service.die_with_parent import leashed
from service.domain.errors import CollectionFailed, CollectionTooSlow
from service.registry.storage import Storage

_MARK = re.compile(r"^(?P<repository>\S+): marking manifest (?P<digest>\S+)")
_TOTALS = re.compile(r"^(\d+) blobs marked, (\d+) blobs and (\d+) manifests eligible for deletion")
_ELIGIBLE = re.compile(r"^blob eligible for deletion: (\S+)")
# Distribution 3 also deletes the links by which a repository has blobs that were not marked by its turn.
_LINK = re.compile(r"^(?P<repository>\S+): layer link eligible for deletion: (?P<digest>\S+)")
_NOTHING_YET = re.compile(r"Path not found: .*/repositories")
_POLL_S = 0.1
_TAIL = 20
_PROOF_S = 1.0


@dataclass(slots=True)
class Report:
    """What garbage-collect printed. marks: "repository digest" of each marked manifest; eligible: blobs to sweep.

    named: the same as a set; totalled: whether the totals were printed, which is before the first blob is swept.
    links: (repository, digest) of each layer link that is deleted, whether its blob is or not; last_link: the last.
    """

    marked: int = 0
    blobs: int = 0
    manifests: int = 0
    marks: set[tuple[str, str]] = field(default_factory=set)
    eligible: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    links: set[tuple[str, str]] = field(default_factory=set)
    last_link: tuple[str, str] | None = None
    totalled: bool = False
    nothing_yet: bool = False
    tail: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Takes one line of output (the formats of 2.8 and 3 are the same, but that only 3 deletes layer links)."""
        line = line.rstrip("\n")
        if found := _MARK.match(line):
            self.marks.add((found["repository"], found["digest"]))
        elif found := _ELIGIBLE.match(line):
            self.eligible.append(found[1])
            self.named.add(found[1])
        elif found := _LINK.match(line):
            self.last_link = (found["repository"], found["digest"])
            self.links.add(self.last_link)
        elif found := _TOTALS.match(line):
            self.marked, self.blobs, self.manifests = (int(number) for number in found.groups())
            self.totalled = True
        elif _NOTHING_YET.search(line):
            self.nothing_yet = True
        if line.strip() and not _MARK.match(line):
            self.tail = [*self.tail[-_TAIL + 1 :], line]

    def excess(self, rehearsal: Self) -> str:
        """What this one, as far as it was read, takes beyond its rehearsal; "" for nothing. Known before it sweeps."""
        if self.totalled and (self.blobs > len(rehearsal.eligible) or self.marked < rehearsal.marked):
            return f"it was about to sweep {self.blobs} blobs, and the dry run named {len(rehearsal.eligible)}"
        if self.eligible and self.eligible[-1] not in rehearsal.named:
            return f"it swept {self.eligible[-1]}, which the dry run did not name"
        if self.last_link and self.last_link not in rehearsal.links:
            return f"it deleted the layer link {'@'.join(self.last_link)}, which the dry run did not name"
        return ""


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of the command: its exit code and what it printed."""

    exit_code: int
    report: Report

    @property
    def succeeded(self) -> bool:
        """Exit 1 on a store where nothing was ever pushed is no failure (FACTS)."""
        return self.exit_code == 0 or self.report.nothing_yet


class Collector:
    """Runs the configured `registry garbage-collect` command, one at a time on this host."""

    def __init__(self, command: Sequence[str], lock: Path, timeout_s: float, storage: Storage | None = None) -> None:
        self._command = list(command)
        self._lock = lock
        self._claimed: int | None = None
        self._timeout_s = timeout_s
        self._hears: Callable[[str], object] = lambda line: None
        self.storage = storage

    def heard_by(self, listener: Callable[[str], object]) -> "Collector":
        """The same, of which `listener` hears what it prints, line by line."""
        other = copy(self)
        other._hears = listener
        return other

    def run(self, may_go_on: Callable[[], bool], *, rehearsal: Report | None = None) -> Finished:
        """Runs it to its end; it is killed, with all it started, as soon as `may_go_on` says no.

        rehearsal: what the dry run said, to which the sweep is held; None: this is the dry run. Raises CollectionFailed
        when it cannot be started, is already running on this host, was stopped, takes longer than the timeout, or is
        about to sweep what was not rehearsed.
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
        """Holds the kernel lock while the block runs, with `token` written in it.

        Every run inherits the lock, with all that it starts. So whoever can take it afterwards and reads that token in
        it has proved that the holder has let go of it, or is dead, and that no collector of its is left: `succeed` is
        told the token of the holder before, and whether that is proved of it, before the proof is overwritten.
        Raises CollectionFailed when one still runs on this host.
        """
        with self._locked() as lock:
            if (before := _token_in(lock)) and before != token:
                succeed(before, self._proves(lock))
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{token} {process_identity.boot()}\n".encode(), 0)
            os.fsync(lock)
            self._claimed = lock
            try:
                yield
            finally:
                self._claimed = None

    def is_dead(self, token: str) -> bool:
        """Whether it is proved that nothing of the holder with this token can run any more."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)  # a read-only mount will do for a proof
        except OSError:
            return False
        try:
            if _token_in(descriptor) != token or not self._proves(descriptor):
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _token_in(descriptor) == token
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def _proves(self, lock: int) -> bool:
        """Whether a lock that is free says anything of its last holder: he was under this kernel, or under one before.

        On a network's filesystem another machine's lock may be unknown here, or lost while its collector lives on.
        """
        boot = _words_in(lock)[1:2]
        return (bool(boot) and boot[0] == process_identity.boot()) or process_identity.is_of_one_kernel(self._lock)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """A kernel lock that the collector inherits: it is held as long as either of us lives."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _started(self, command: list[str], lock: int) -> Iterator[subprocess.Popen[str]]:
        try:
            process = subprocess.Popen(
                leashed(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
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
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for line in _lines(process.stdout):
            if line:
                self._hears(line)
                report.read(line)
                if rehearsal and (excess := report.excess(rehearsal)):
                    raise CollectionFailed(f"it was stopped: {excess}; it is tried again")
            if not may_go_on():
                raise CollectionFailed("it was stopped because its lease could not be renewed; it is tried again")
            if time.monotonic() > end:
                raise CollectionTooSlow(f"it took longer than gc.timeout ({self._timeout_s:.0f} s) and was stopped")
        return report


def _take(descriptor: int) -> None:
    """Takes the lock; somebody who looks for a proof of death may have it for a moment."""
    end = time.monotonic() + _PROOF_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise CollectionFailed("another garbage-collect still runs on this host; it is tried again") from error
            time.sleep(_POLL_S / 10)


def _token_in(descriptor: int) -> str:
    return next(iter(_words_in(descriptor)), "")


def _words_in(descriptor: int) -> list[str]:
    """The token of the last holder, and the kernel under which it ran."""
    return os.pread(descriptor, 200, 0).decode("ascii", "replace").split()


def _lines(stream: IO[str]) -> Iterator[str]:
    """Lines as they come; an empty string every now and then while none does."""
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
    """Ends the whole process group and waits for its death."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
