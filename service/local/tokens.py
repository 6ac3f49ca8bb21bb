"""The tokens of `pushprune up`: created at the first start, and kept in the data directory."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from service.domain.errors import ConfigurationError

NAMES = ("notify", "read", "admin")
_BYTES = 32


def create_tokens(directory: Path, names: Iterable[str] = NAMES) -> dict[str, Path]:
    """Create the named tokens that `directory` does not contain yet; return the file of each.

    Only their owner can read them. Raises ConfigurationError if the directory cannot be used.
    """
    files = {name: directory / name for name in names}
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for file in files.values():
            # A start that was interrupted leaves an empty file.
            if file.exists() and file.read_bytes().strip():
                file.chmod(0o600)
            else:
                private(file, secrets.token_urlsafe(_BYTES) + "\n")
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot hold the tokens: {error.strerror}.") from error
    return files


def private(file: Path, text: str) -> None:
    """Write a file atomically; only its owner can read it."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        # The umask may have removed permissions from the mode of `open`.
        os.fchmod(descriptor, 0o600)
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    draft.replace(file)
