"""Find a `registry` binary (CNCF Distribution): named, on PATH, or downloaded from Debian without root."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from service.domain.errors import ConfigurationError, PushpruneError

NAMES = ("registry", "docker-registry")
PACKAGE = "docker-registry"
_DISTRIBUTION = re.compile(r"\b(?:docker|distribution)/distribution\b")
_VERSION_TIMEOUT_S = 10
_FETCH_TIMEOUT_S = 180
_INSTALL = "install the package docker-registry, or set PUSHPRUNE_REGISTRY_BIN to a `registry` binary of Distribution"


class FetchFailed(PushpruneError):
    """The registry binary could not be downloaded from Debian."""


def find(environ: Mapping[str, str] | None = None, say: Callable[[str], None] = lambda _text: None) -> Path:
    """Return PUSHPRUNE_REGISTRY_BIN, else `registry` or `docker-registry` on PATH, else download it into the cache.

    Args:
        say: called with a sentence before a download.

    Raises:
        ConfigurationError: no binary was found; the message contains the fix.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get("PUSHPRUNE_REGISTRY_BIN"):
        if not version(named):
            raise ConfigurationError(f"PUSHPRUNE_REGISTRY_BIN={named} is no `registry` binary of Distribution")
        return Path(shutil.which(named) or named).absolute()
    for name in NAMES:
        path = shutil.which(name, path=environ.get("PATH"))
        if path and version(path):
            return Path(path)
    return _from_debian(cache(environ), environ, say)


def version(binary: str | Path) -> str | None:
    """Return the output of --version; None if the program is not Distribution's registry.

    Other programs are called `registry`, too.
    """
    try:
        shown = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return shown if _DISTRIBUTION.search(shown) else None


def cache(environ: Mapping[str, str]) -> Path:
    """Return pushprune's folder in the user's cache, by the XDG base directory specification."""
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "pushprune"


def _from_debian(folder: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    unpacked = folder / PACKAGE
    binary = unpacked / "usr" / "bin" / PACKAGE
    if version(binary):
        return binary
    if not all(shutil.which(tool, path=environ.get("PATH")) for tool in ("apt-get", "dpkg-deb")):
        raise ConfigurationError(f"no registry binary found: {_INSTALL}")
    say(f"downloading {PACKAGE} (Debian package) to {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            _fetch(Path(draft), environ)
            _unpack(Path(draft), environ)
            shutil.rmtree(unpacked, ignore_errors=True)
            (Path(draft) / "unpacked").rename(unpacked)
    except (FetchFailed, OSError) as error:
        raise ConfigurationError(
            f"no registry binary found, and it could not be fetched ({error}): {_INSTALL}"
        ) from error
    if not version(binary):
        raise ConfigurationError(f"the fetched {binary} does not run on this machine: {_INSTALL}")
    return binary


def _fetch(folder: Path, environ: Mapping[str, str]) -> None:
    """Download the package. If apt does not know it, as its lists are empty, download lists of our own first."""
    try:
        _run(["apt-get", "download", PACKAGE], folder, environ)
    except FetchFailed:
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        ours = ["-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder}"]
        _run(["apt-get", *ours, "update"], folder, environ)
        _run(["apt-get", *ours, "download", PACKAGE], folder, environ)


def _unpack(folder: Path, environ: Mapping[str, str]) -> None:
    packages = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not packages:
        raise FetchFailed("apt-get download left no package")
    _run(["dpkg-deb", "-x", str(packages[0]), str(folder / "unpacked")], folder, environ)


def _run(command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env={**environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise FetchFailed(f"{command[0]}: {error}") from error
    if ended.returncode:
        last = (ended.stderr or ended.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise FetchFailed(f"{command[0]}: {last[0]}")
