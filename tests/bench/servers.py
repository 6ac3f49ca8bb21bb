"""The web processes that ingest is measured with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import requests

from service.process.die_with_parent import die_with_parent
from tests.fakes.valkey import free_port
from tests.live.conftest import wait_until

OURS = ("service", "web")
BARE = ("tests.bench.bare",)
TOKEN = "bench-notify-token"


class Server:
    """One process: the web process, or a bare view under the same server."""

    def __init__(self, folder: Path, command: tuple[str, ...], redis_url: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/notifications"
        self._log = folder / f"{command[0]}-{self.port}.log"
        self._command = command
        self._environment = _environment(self.port, redis_url)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                die_with_parent([sys.executable, "-m", *self._command], signal.SIGTERM),
                env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(self._answers, f"{self._command} does not answer; see {self._log}")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def cpu_s(self) -> float:
        """The processor time that the process has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            return requests.post(self.url, data=b"", timeout=5).status_code in (200, 401)
        except requests.RequestException:
            time.sleep(0.05)
            return False


def _environment(port: int, redis_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUSHPRUNE_")}
    return kept | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PUSHPRUNE_LISTEN": f"127.0.0.1:{port}",
        "PUSHPRUNE_REDIS__URL": redis_url,
        "PUSHPRUNE_TOKENS__NOTIFY": TOKEN,
    }
