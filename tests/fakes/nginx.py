"""A real nginx on a free port: before a registry with config/nginx.conf, or before the dashboard as the manual says."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, Self

import requests

from service.process.die_with_parent import die_with_parent
from tests.fakes.valkey import free_port
from tests.support import manual
from tests.support.waiting import until

CONFIG = Path(__file__).parents[2] / "config" / "nginx.conf"


def rendered(folder: Path, *, listen: str, gate: str, registry: str, ask: bool = True) -> str:
    """config/nginx.conf for these addresses (HOST:PORT); ask=False: nginx does not ask the gate."""
    text = CONFIG.read_text()
    changes = {
        "server gatekeeper:8081;": f"server {gate};",
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


def nginx_binary() -> str:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    assert binary, "nginx is missing; `make test` installs it as root on Debian"
    return binary


class Nginx:
    """nginx from `with` to its end. url: where clients go instead of to the registry."""

    ready = "/v2/"

    def __init__(self, folder: Path, *, gate_url: str, registry_url: str, ask: bool = True) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._config = self._configured(gate_url.removeprefix("http://"), registry_url.removeprefix("http://"), ask)
        self._process: subprocess.Popen[bytes] | None = None

    def _configured(self, gate: str, registry: str, ask: bool) -> str:
        return rendered(self._folder, listen=f"127.0.0.1:{self._port}", ask=ask, gate=gate, registry=registry)

    def __enter__(self) -> Self:
        binary = nginx_binary()
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "nginx.conf"
        file.write_text(self._config)
        directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        with (self._folder / "nginx.log").open("wb") as log:
            command = die_with_parent(
                [binary, "-c", str(file), "-p", str(self._folder), "-e", "stderr", "-g", directives]
            )
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, "nginx does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def log(self) -> str:
        return (self._folder / "nginx.log").read_text()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return requests.get(f"{self.url}{self.ready}", timeout=5).status_code == 200
        except requests.RequestException:
            return False


class Frontend(Nginx):
    """nginx before the dashboard, as docs/dashboard.md says: people sign in there. PEOPLE: by name and password."""

    PEOPLE: ClassVar = {"alice": "al1ce", "bob": "b0b"}
    ready = "/ready"

    def __init__(self, folder: Path, *, web_url: str) -> None:
        super().__init__(folder, gate_url=web_url, registry_url="")

    def _configured(self, web: str, registry: str, ask: bool) -> str:
        (snippet,) = re.findall(r"```nginx\n(location /pushprune/ .*?)```", manual.page("dashboard"), re.DOTALL)
        assert "127.0.0.1:8080" in snippet
        self._folder.mkdir(parents=True, exist_ok=True)
        people = "".join(f"{name}:{{PLAIN}}{password}\n" for name, password in self.PEOPLE.items())
        (self._folder / "people").write_text(people)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {self._folder}/{kind};" for kind in kinds)
        return f"""
            pid {self._folder}/nginx.pid;
            events {{}}
            http {{
                access_log off; {paths}
                server {{
                    listen 127.0.0.1:{self._port};
                    location = /ready {{ return 200; }}
                    auth_basic "people"; auth_basic_user_file {self._folder}/people;
                    {snippet.replace("127.0.0.1:8080", web)}
                }}
            }}"""
