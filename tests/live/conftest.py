"""The real thing: registry, Valkey or Redis, web, gate and Celery workers as processes, skopeo as the client."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from service.domain.collection.run import Run
from service.domain.errors import StoreUnavailable
from service.settings import load_settings
from service.store import Store
from service.store.connection import connect
from service.wiring import Wiring, wire
from tests.fakes.nginx import Nginx
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.valkey import Valkey, free_port
from tests.fakes.warm import run_verb, warm_parent
from tests.support.lease import patient_lease

__all__ = ["patient_lease"]
TOKEN = "live-notify-token"
READ_TOKEN = "live-read-token"
# Only a failure is slower for it: a busy machine must turn no test red.
PATIENCE_S = 240.0
# What a verb says of others that stand still.
_STANDS_STILL = ("Redis does not answer", "no worker is running")
# The words of LeaseLost.
LEASE_LOST = "could not be renewed in time"


def wait_until(condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """The first true answer of `condition`; fails with `what` when there is none in time."""

    def ask() -> Any:
        # A Redis that fails over or starts is asked again.
        with suppress(StoreUnavailable):
            return condition()

    asked = time.monotonic()
    end = asked + within_s
    while not (answer := ask()):
        answered = time.monotonic()
        assert answered < end, f"waited {within_s:.0f} s in vain: {what}"
        # What is dear to ask is asked seldom: most of the processor is left to what is waited for.
        time.sleep(min(max(0.02, 5 * (answered - asked)), 1))
        asked = time.monotonic()
    return answer


class LiveSystem:
    """registry, redis, one web process and the workers a test starts. wiring: ours, for looking at the history.

    url: where clients go: to nginx with gc.gate: proxy, else to the registry. Among the settings may be redis_user (the
    processes come to Redis as this user, who may do everything at first), redis_url (servers of the test) and
    registry_config (more of the registry's own configuration).
    """

    def __init__(self, folder: Path, stack: ExitStack, config: dict[str, Any]) -> None:
        self.folder = folder
        redis_url = config.pop("redis_url", "")
        if not redis_url:
            self.valkey = stack.enter_context(Valkey(folder / "redis", append_only=True))
            redis_url = self.valkey.url
        if user := config.pop("redis_user", ""):
            admin: Any = self.valkey.client()
            admin.execute_command("ACL", "SETUSER", user, "on", ">pw", "allkeys", "allchannels", "+@all")
            redis_url = redis_url.replace("//", f"//{user}:pw@")
        self.web_url = f"http://127.0.0.1:{free_port()}"
        self.debug_port = free_port()
        # The storage of a registry is mounted before its first push.
        (folder / "registry" / "storage").mkdir(parents=True)
        self.registry = stack.enter_context(
            RealRegistry(
                directory=folder / "registry",
                notify_url=f"{self.web_url}/notifications", notify_token=TOKEN,
                config={
                    **config.pop("registry_config", {}),
                    "notifications": {"events": {"includereferences": True}},
                    "http": {"debug": {"addr": f"127.0.0.1:{self.debug_port}", "prometheus": {"enabled": True}}},
                },
            )
        )  # fmt: skip
        self.url = self.registry.url
        settings: dict[str, Any] = {
            "listen": self.web_url.removeprefix("http://"),
            "redis": {"url": redis_url, **config.pop("redis", {})},
            "registry": {"url": self.registry.url, "debug_url": f"http://127.0.0.1:{self.debug_port}"},
            "tokens": {"notify": TOKEN, "read": READ_TOKEN},
            "storage": {"path": str(self.registry.storage_path)},
            "data_dir": str(folder / "data"),
            **config,
        }
        settings["gc"] = {"gate_listen": f"127.0.0.1:{free_port()}", **settings.get("gc", {})}
        self.config = folder / "pushprune.yaml"
        self.config.write_text(yaml.safe_dump(settings))
        # A Redis that stands still for longer than the service waits for it fails no test.
        client = connect(redis_url, answer_s=PATIENCE_S)
        self.wiring: Wiring = wire(load_settings(self.config, environ={}), client)
        self._stack = stack
        self._workers = 0
        self.web = self.start("web", "web")
        if self.wiring.settings.gc.gate == "proxy":
            self.gate = self.start("gate", "gate")
            self.gate_url = f"http://{self.wiring.settings.gc.gate_listen}"
            wait_until(lambda: self._answers(self.gate, "gate", f"{self.gate_url}/livez"), "no gate process answers")
        wait_until(lambda: self._answers(self.web, "web", f"{self.web_url}/readyz"), "the web process is not ready")
        if self.wiring.settings.gc.gate == "proxy":
            self.nginx = stack.enter_context(
                Nginx(folder / "nginx", gate_url=self.gate_url, registry_url=self.registry.url)
            )
            self.url = self.nginx.url
        self.pusher = stack.enter_context(Pusher(self.url))

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `pushprune arguments`, which ends with the test at the latest."""
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = warm_parent().start(arguments, self._environment, log)
        self._stack.callback(self.kill, process)
        return process

    def verb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb as a user at another terminal does, again if Redis or the workers stand still for too long."""

        def ended() -> subprocess.CompletedProcess[str] | None:
            done = run_verb(*arguments, environment=self._environment, timeout_s=3 * PATIENCE_S)
            return None if any(sentence in done.stderr for sentence in _STANDS_STILL) else done

        result: subprocess.CompletedProcess[str] = wait_until(ended, f"{arguments} cannot be run")
        return result

    @property
    def _environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("PUSHPRUNE_")}
        return {**others, "PUSHPRUNE_CONFIG": str(self.config)}

    def start_worker(self, queues: str = "enforce,delete,reconcile,garbage") -> subprocess.Popen[bytes]:
        """Start a Celery worker and wait until it works."""
        self._workers += 1
        process = self.start(f"worker{self._workers}", "worker", "--queues", queues, "--name", f"w{self._workers}")
        name, outbox = f"w{self._workers}@{socket.gethostname()}", self.wiring.store.outbox

        def is_seen() -> bool:
            return any(worker.name == name for worker in outbox.signs())

        wait_until(lambda: is_seen() or process.poll() is not None, "no sign of a worker")
        assert process.poll() is None, self.log(f"worker{self._workers}")
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the process by SIGKILL, with everything it started."""
        with suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def skopeo_push(self, repository: str, *tags: str, source: Path) -> None:
        """Push the OCI layout `source` under each tag by skopeo."""
        host = self.url.removeprefix("http://")
        for tag in tags:
            command = ["skopeo", "copy", "--quiet", "--preserve-digests", "--insecure-policy"]
            subprocess.run(
                [*command, "--dest-tls-verify=false", f"oci:{source}:image", f"docker://{host}/{repository}:{tag}"],
                check=True,
            )

    def tags(self, repository: str) -> set[str]:
        return set(self.pusher.tags(repository))

    def quiet(self) -> bool:
        """True if nothing is left to do."""
        backlog = self.wiring.store.outbox.backlog()
        return not (backlog.due or backlog.doomed)

    def heard(self, repository: str, tags: set[str]) -> bool:
        """True if the history knows exactly these tags."""
        return {tag.name for tag in self.wiring.store.history.live(repository)} == tags

    def made(self) -> list[Run]:
        """The collections that were made, newest first.

        Those that are tried again by themselves are left out: they were postponed, or a worker that stood still lost
        its lease.
        """
        runs = self.wiring.store.collection_runs.latest(1000)
        return [run for run in runs if run.result != "postponed" and LEASE_LOST not in run.message]

    def _answers(self, process: subprocess.Popen[bytes], name: str, url: str) -> bool:
        assert process.poll() is None, self.log(name)
        try:
            return requests.get(url, timeout=30).status_code == 200
        except requests.RequestException:
            return False

    @property
    def store(self) -> Store:
        """Everything in Redis."""
        return self.wiring.store


Live = Callable[..., LiveSystem]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """live(policy=…, gc=…, …): a system with these settings."""
    require_registry()
    assert shutil.which("skopeo"), "skopeo is missing; `make test` installs it as root on Debian"
    with ExitStack() as stack:
        yield lambda **config: LiveSystem(tmp_path, stack, config)


def last(count: int, **more: Any) -> dict[str, Any]:
    """A policy that keeps the last `count` pushed, without a hold."""
    rule = {"name": "last", "keep": {"last": count}}
    bounds = {"hold_over": "100%", "hold_min": 100_000, "first_plan": "apply"}
    return {**bounds, "protect": ["latest"], "rules": [rule], **more}


def pushprune(system: LiveSystem, *arguments: str) -> str:
    """Run a verb that succeeds, and return its output."""
    done = system.verb(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
