"""A real nginx with config/nginx.conf, on a free port, in front of a registry and a web process."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from service.leash import leashed
from tests.fakes.valkey import free_port

CONFIG = Path(__file__).parents[2] / "config" / "nginx.conf"


def rendered(folder: Path, *, listen: str, web: str, registry: str, ask: bool = True) -> str:
    """config/nginx.conf for these addresses (HOST:PORT); ask=False: nobody asks the gate."""
    text = CONFIG.read_text()
    changes = {
        "server web:8080;": f"server {web};",
        "server registry:5000;": f"server {registry};",
        "listen 5000;": f"listen {listen};",
        "/tmp/nginx": f"{folder}/nginx",
    }
    if not ask:
        changes["auth_request /-/gate;"] = ""
    for before, after in changes.items():
        assert before in text, f"{before} stands no longer in {CONFIG}"
        text = text.replace(before, after)
    return text


class Nginx:
    """nginx from `with` to its end. url: where clients go instead of to the registry."""

    def __init__(self, folder: Path, *, web_url: str, registry_url: str, ask: bool = True) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._config = rendered(
            folder, listen=f"127.0.0.1:{self._port}", ask=ask,
            web=web_url.removeprefix("http://"), registry=registry_url.removeprefix("http://"),
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
        assert binary, "nginx is missing; `make test` installs it as root on Debian"
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "nginx.conf"
        file.write_text(self._config)
        directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        with (self._folder / "nginx.log").open("wb") as log:
            command = leashed([binary, "-c", str(file), "-p", str(self._folder), "-e", "stderr", "-g", directives])
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < end, f"nginx does not answer:\n{self.log()}"
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def log(self) -> str:
        return (self._folder / "nginx.log").read_text()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return requests.get(f"{self.url}/v2/", timeout=5).status_code == 200
        except requests.RequestException:
            return False
