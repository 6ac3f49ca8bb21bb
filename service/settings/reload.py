"""The policy in force, read again when its file changes."""

import hashlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from service.domain.errors import ConfigurationError
from service.domain.policy import Policy
from service.settings.loading import load_policy
from service.settings.model import Settings

# A file that is still being written is not a policy yet: cut short, `last: 10` reads `last: 1`.
# Longer than the tick of a file system's clock (4 ms), so that no write hides in the tick of the one before.
_SETTLE_S = 0.1

_Prints = dict[Path, tuple[int, ...] | None]


@dataclass(frozen=True)
class _State:
    """What is in force; the files it came from as they were; why a newer version is not in force."""

    policy: Policy | None
    digest: str
    prints: _Prints
    is_settled: bool = True
    error: str | None = None


class PolicySource:
    """The policy in force. Safe to share between threads; a look at an unchanged file costs one stat."""

    def __init__(self, settings: Settings, *, patient: bool = False) -> None:
        """ConfigurationError when the policy cannot be read.

        patient: one in a file of its own is waited for instead, with no policy in force and `error` saying why: who
        only listens must not stop listening on its account.
        """
        self._settings = settings
        # A policy inside the configuration is watched there, also one that is still to be written.
        self._config = None if isinstance(settings.policy, Path) else settings.config_path
        self._lock = threading.Lock()
        try:
            self._state = self._read()
        except ConfigurationError as error:
            if not patient or not isinstance(settings.policy, Path):
                raise
            self._state = _State(None, _digest(None), _prints([settings.policy]), is_settled=False, error=str(error))

    def current(self) -> Policy | None:
        """The policy in force; None when there is none. One that cannot be read leaves the one before in force."""
        with self._lock:
            if not self._state.is_settled or _prints(self._state.prints) != self._state.prints:
                self._state = self._read_again()
            return self._state.policy

    @property
    def error(self) -> str | None:
        """One sentence when `current` last found a policy that it cannot take, else None."""
        return self._state.error

    @property
    def digest(self) -> str:
        """Of the policy that `current` last gave: equal for equal policies, in every process."""
        return self._state.digest

    def _read(self) -> _State:
        policy = self._settings.policy
        prints: _Prints = {}
        if self._config and self._settings._reread_policy:
            prints |= _prints([self._config])
            policy = self._settings._reread_policy()
        if isinstance(policy, Path):
            prints |= _prints([policy])
            policy = load_policy(policy)
        return _State(policy, _digest(policy), prints, is_settled=not _is_fresh(prints))

    def _read_again(self) -> _State:
        before = _prints(self._state.prints)
        time.sleep(_SETTLE_S)
        try:
            state = self._read()
        except ConfigurationError as error:
            state = replace(self._state, prints=before, error=str(error), is_settled=not _may_pass(error, before))
        now = _prints(state.prints)
        is_moving = now != state.prints or any(before.get(file, seen) != seen for file, seen in now.items())
        return replace(self._state, is_settled=False) if is_moving else state


def _prints(files: Iterable[Path]) -> _Prints:
    """What changes when a file does, also when it is replaced by another: None for one that is not there."""
    return {file: _print(file) for file in files}


def _print(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev, found.st_ctime_ns


def _is_fresh(prints: _Prints) -> bool:
    """Whether a file was written so lately that another write could leave the same print."""
    now_ns = time.time_ns()
    return any(abs(now_ns - seen[0]) < _SETTLE_S * 1e9 for seen in prints.values() if seen)


def _may_pass(error: ConfigurationError, prints: _Prints) -> bool:
    """Whether reading failed on files that are there: nothing about them need change before it works again."""
    return isinstance(error.__cause__, OSError) and None not in prints.values()


def _digest(policy: Policy | None) -> str:
    return hashlib.sha256(policy.model_dump_json().encode() if policy else b"").hexdigest()
