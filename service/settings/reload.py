"""The policy in force. It is read again when its file or the configuration that names the file changes."""

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

# A file that is still being written must not be used: the beginning of `last: 10` is `last: 1`.
# The pause is longer than the tick of a file system's clock (4 ms), so that every write changes the modification time.
_SETTLE_S = 0.1

NONE_IN_FORCE = "no policy is in force"
_NO_DELETES = "nothing is deleted"

_Prints = dict[Path, tuple[int, ...] | None]


@dataclass(frozen=True)
class _State:
    """The policy in force and its origin.

    Attributes:
        policy: the policy; None if there is none.
        digest: the hash of the policy.
        prints: the fingerprints of the files when they were read.
        file: the file with the policy; None if there is none.
        is_settled: False if the files must be read again although they look unchanged.
        error: why a newer version is not in force, else None.
        read_s: when the policy was read, in seconds since the epoch.
    """

    policy: Policy | None
    digest: str
    prints: _Prints
    file: Path | None
    is_settled: bool = True
    error: str | None = None
    read_s: float = field(default_factory=time.time)


class PolicySource:
    """The policy in force. Threads may share it. A check of unchanged files costs one stat per file."""

    def __init__(
        self, settings: Settings, *, patient: bool = False, remembered: Callable[[], str] | None = None
    ) -> None:
        """Read the policy.

        Args:
            patient: True to start even if the policy's own file cannot be read; then `error` says why. The web process
                must receive notifications even then.
            remembered: returns the policy that was last put in force, in the format of `written`; may raise
                StoreUnavailable. It is used while the policy cannot be read.

        Raises:
            ConfigurationError: the policy cannot be read.
        """
        self._settings = settings
        self._remembered = remembered
        # The configuration is watched, too: a policy may be added to it, or it may name another policy file.
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
        """Return the policy in force; None if there is none.

        If a changed policy cannot be read, the policy last put in force is used: the one that this process has read
        before may have been replaced by other processes, or never have come into force.
        """
        with self._lock:
            if not self._state.is_settled or _prints(self._state.prints) != self._state.prints:
                self._state = self._read_again()
            if self._state.error:
                self._state = self._recalled()
            return self._state.policy

    def use(self, policy: Policy) -> None:
        """Put a policy in force that no file contains. It stays in force until the next call."""
        with self._lock:
            self._state = _State(policy, _digest(policy), {}, None)

    @property
    def error(self) -> str | None:
        """The reason why the last call of `current` could not use a changed policy, one sentence; None if it could."""
        return self._state.error

    @property
    def complaint(self) -> str | None:
        """The sentence of `error`, with the policy that is in force instead; None if there is no error."""
        if self._state.error is None:
            return None
        instead = "the previous policy stays in force" if self._state.policy else f"{NONE_IN_FORCE}, {_NO_DELETES}"
        return f"{self._state.error}; {instead}"

    @property
    def file(self) -> Path | None:
        """The file with the policy, even if it cannot be read: its own, else the configuration; None without both."""
        return self._state.file

    @property
    def read_ms(self) -> int:
        """The time at which this process read the policy in force, in ms since the epoch."""
        return round(self._state.read_s * 1000)

    @property
    def written(self) -> str:
        """The last result of `current` as JSON; "" for no policy."""
        return self._state.policy.model_dump_json(exclude_none=True) if self._state.policy else ""

    @property
    def name(self) -> str:
        """A short name of the last result of `current`. It is the same for equal policies in every process."""
        return self._state.digest[:12]

    @property
    def digest(self) -> str:
        """A hash of the last result of `current`. It is the same for equal policies in every process."""
        return self._state.digest

    def _read(self, prints: _Prints) -> _State:
        """Read the policy. prints: the fingerprint of every file is added here before it is read, even if it fails."""
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
        """Return the state with the remembered policy in force; unchanged if there is none or Redis is away."""
        try:
            text = self._remembered() if self._remembered else ""
            if text in ("", self.written):
                return self._state
            policy = Policy.model_validate_json(text)
        # ValidationError: another version of pushprune wrote the policy.
        except (StoreUnavailable, ValidationError):
            return self._state
        return (
            self._state if policy == self._state.policy else replace(self._state, policy=policy, digest=_digest(policy))
        )


def _prints(files: Iterable[Path]) -> _Prints:
    """Return a fingerprint of each file, which changes when the file is changed or replaced; None if it is missing."""
    return {file: _print(file) for file in files}


def _print(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev, status.st_ctime_ns


def _is_fresh(prints: _Prints) -> bool:
    """True if a file was written so recently that another write could leave the same fingerprint."""
    now_ns = time.time_ns()
    return any(abs(now_ns - seen[0]) < _SETTLE_S * 1e9 for seen in prints.values() if seen)


def _may_pass(error: ConfigurationError, prints: _Prints) -> bool:
    """True if existing files could not be read. Reading may work later without any change of the files."""
    return isinstance(error.__cause__, OSError) and None not in prints.values()


def _digest(policy: Policy | None) -> str:
    return hashlib.sha256(policy.model_dump_json().encode() if policy else b"").hexdigest()
