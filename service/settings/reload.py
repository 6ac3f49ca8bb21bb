"""The policy in force, read again when its file changes, or the configuration that names the file."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from service.domain.errors import ConfigurationError, StoreUnavailable
from service.domain.policy.model import Policy
from service.settings.loading import load_policy
from service.settings.model import Settings

# A file that is still being written is not a policy yet: cut short, `last: 10` reads `last: 1`.
# Longer than the tick of a file system's clock (4 ms), so that no write hides in the tick of the one before.
_SETTLE_S = 0.1

NONE_IN_FORCE = "no policy is in force"
_NO_DELETES = "nothing is deleted"

_Prints = dict[Path, tuple[int, ...] | None]


@dataclass(frozen=True)
class _State:
    """What is in force; the files it came from as they were; why a newer version is not in force.

    file: the one that holds the policy; None when no file does. read_s: when that was, seconds since the epoch.
    """

    policy: Policy | None
    digest: str
    prints: _Prints
    file: Path | None
    is_settled: bool = True
    error: str | None = None
    read_s: float = field(default_factory=time.time)


class PolicySource:
    """The policy in force. Safe to share between threads; a look at unchanged files costs one stat each."""

    def __init__(
        self, settings: Settings, *, patient: bool = False, remembered: Callable[[], str] | None = None
    ) -> None:
        """ConfigurationError when the policy cannot be read.

        patient: one in a file of its own is waited for instead, with `error` saying why: who only listens must not stop
        listening on its account. Until then the remembered policy is in force.
        remembered: the policy last put in force, as `written` wrote it; may raise StoreUnavailable.
        """
        self._settings = settings
        self._remembered = remembered
        # Watched also for a policy that is still to be written there, or to move to another file.
        self._config = settings.config_path if settings._reread_policy else None
        self._lock = threading.Lock()
        prints: _Prints = {}
        try:
            self._state = self._read(prints)
        except ConfigurationError as error:
            if not patient or not isinstance(settings.policy, Path):
                raise
            self._state = _State(None, _digest(None), prints, settings.policy, is_settled=False, error=str(error))

    def current(self) -> Policy | None:
        """The policy in force; None when there is none. One that cannot be read leaves the one before in force."""
        with self._lock:
            if not self._state.is_settled or _prints(self._state.prints) != self._state.prints:
                self._state = self._read_again()
            if self._state.error and self._state.policy is None:
                self._state = self._recalled()
            return self._state.policy

    @property
    def error(self) -> str | None:
        """One sentence when `current` last found a policy that it cannot take, else None."""
        return self._state.error

    @property
    def complaint(self) -> str | None:
        """The same sentence with what it means: which policy is in force instead, if any."""
        if self._state.error is None:
            return None
        instead = "what was in force before stays in force" if self._state.policy else f"{NONE_IN_FORCE}, {_NO_DELETES}"
        return f"{self._state.error}; {instead}"

    @property
    def file(self) -> Path | None:
        """The file that holds the policy, or would: its own, else the configuration; None when neither does."""
        return self._state.file

    @property
    def read_ms(self) -> int:
        """When this process read the policy that is in force (ms since the epoch)."""
        return round(self._state.read_s * 1000)

    @property
    def written(self) -> str:
        """The policy that `current` last gave, as JSON; "" for none."""
        return self._state.policy.model_dump_json(exclude_none=True) if self._state.policy else ""

    @property
    def name(self) -> str:
        """A short name for the policy that `current` last gave: equal for equal policies, in every process."""
        return self._state.digest[:12]

    @property
    def digest(self) -> str:
        """Of the policy that `current` last gave: equal for equal policies, in every process."""
        return self._state.digest

    def _read(self, prints: _Prints) -> _State:
        """prints: takes up every file that was looked at, also when the last one is refused."""
        policy, file = self._settings.policy, self._config
        if self._config and self._settings._reread_policy:
            prints |= _prints([self._config])
            policy = self._settings._reread_policy()
        if isinstance(policy, Path):
            file = policy
            prints |= _prints([policy])
            policy = load_policy(policy)
        return _State(policy, _digest(policy), prints, file, is_settled=not _is_fresh(prints))

    def _read_again(self) -> _State:
        before = _prints(self._state.prints)
        time.sleep(_SETTLE_S)
        seen: _Prints = {}
        try:
            state = self._read(seen)
        except ConfigurationError as error:
            files = seen | before
            state = replace(self._state, prints=files, error=str(error), is_settled=not _may_pass(error, files))
        now = _prints(state.prints)
        is_moving = now != state.prints or any(before.get(file, seen) != seen for file, seen in now.items())
        return replace(self._state, is_settled=False) if is_moving else state

    def _recalled(self) -> _State:
        """With the policy of an earlier life in force; as it is, where none is remembered or nobody can be asked."""
        try:
            text = self._remembered() if self._remembered else ""
            policy = Policy.model_validate_json(text) if text else None
        except (StoreUnavailable, ValidationError):  # ValidationError: an older version understood it
            return self._state
        return replace(self._state, policy=policy, digest=_digest(policy))


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
