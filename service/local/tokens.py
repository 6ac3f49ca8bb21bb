"""The tokens of `pushprune up`: made on the first start, kept in the data directory for those that follow."""

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import ConfigurationError

NAMES = ("notify", "read", "admin")
_BYTES = 32


@dataclass(frozen=True)
class Tokens:
    """Where each token lies. fresh: at least one was made just now."""

    files: dict[str, Path]
    fresh: bool


def tokens(directory: Path, names: Iterable[str] = NAMES) -> Tokens:
    """Make the named tokens that `directory` does not hold yet; only its owner can read what is there.

    Raises ConfigurationError when the directory cannot be used.
    """
    files = {name: directory / name for name in names}
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        made = [_keep_or_make(file) for file in files.values()]
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot hold the tokens: {error.strerror}.") from error
    return Tokens(files, any(made))


def _keep_or_make(file: Path) -> bool:
    """True when a token was made: there was none, or only the empty file of a start that was cut short."""
    if file.exists() and file.read_bytes().strip():
        file.chmod(0o600)
        return False
    private(file, secrets.token_urlsafe(_BYTES) + "\n")
    return True


def private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        os.fchmod(descriptor, 0o600)  # whatever the umask says
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    draft.replace(file)
