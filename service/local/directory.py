"""The data directory of `pushprune up`: one start at a time, after every process of the last start has ended."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from service.domain.errors import ConfigurationError, PushpruneError

# Processes of a killed `up` still work for a moment: Redis writes its last lines, the web process answers requests.
_PATIENCE_S = 20.0
_POLL_S = 0.05


class DirectoryInUse(PushpruneError):
    """Another `pushprune up` works on this data directory."""


class DataDirectory:
    """A claimed data directory.

    It is held by two kernel locks, which the kernel releases when a process dies. `up.lock` belongs to this process
    alone. `children.lock` is inherited by all children (`children_fd`): it is free only when the last of their
    descendants has ended, too.
    """

    def __init__(self, path: Path, patience_s: float = _PATIENCE_S) -> None:
        """Claim the directory, and create it if it does not exist.

        Raises:
            DirectoryInUse: another `pushprune up`, or a process that it left, still uses the directory.
            ConfigurationError: the directory cannot be created or written.
        """
        self.path = path.absolute()
        self._descriptors: list[int] = []
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim()
            self.children_fd = self._wait_for_children(patience_s)
        except OSError as error:
            self.release()
            raise ConfigurationError(f"{self.path} cannot be used as the data directory: {error.strerror}.") from error
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the directory."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _open(self, name: str) -> int:
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptors.append(descriptor)
        return descriptor

    def _claim(self) -> None:
        descriptor = self._open("up.lock")
        if not _locked(descriptor):
            pid = os.read(descriptor, 20).decode(errors="replace").strip()
            raise DirectoryInUse(
                f"{self.path} is in use by another `pushprune up` (process {pid or 'unknown'}): "
                "stop that one, or choose another directory with --data"
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def _wait_for_children(self, patience_s: float) -> int:
        descriptor, deadline = self._open("children.lock"), time.monotonic() + patience_s
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise DirectoryInUse(
                    f"processes of an earlier `pushprune up` still work on {self.path}: end them first."
                )
            time.sleep(_POLL_S)
        return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
