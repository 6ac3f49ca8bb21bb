"""`pushprune up` as an operator runs it: one command, a real registry, ended in every way there is."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from service.local.environment import environment_of
from service.settings import load_settings
from service.store.connection import connect
from service.wiring import Wiring, wire
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.valkey import free_port
from tests.live.conftest import PATIENCE_S, wait_until
from tests.support.processes import alive, descendants

Start = Callable[..., "Up"]


class Up:
    """A running `pushprune up` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.data = folder / "data"
        self.log_path = folder / "up.log"
        self.log_path.touch()
        self._offset = self.log_path.stat().st_size
        self.listen = f"127.0.0.1:{free_port()}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PUSHPRUNE_") and k != "REDIS_URL"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        command = [sys.executable, "-c", "from service.cli.main import main; main()", "up"]
        command += ["--data", str(self.data), *([] if "--listen" in arguments else ["--listen", self.listen])]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log, env=environment)

    @property
    def log(self) -> str:
        """The output since its start."""
        return self.log_path.read_bytes()[self._offset :].decode()

    def wait_ready(self) -> "Up":
        wait_until(lambda: "| ready at " in self.log or self.process.poll() is not None, "not ready")
        assert self.process.poll() is None, self.log
        return self

    def pid(self, name: str) -> int | None:
        """The child of this name; None while it is down. Redis gives itself a title: its name and address."""
        word = b"-server " if name == "redis" else b"\0%s\0" % name.encode()
        for child in descendants(self.process.pid):
            try:
                line = Path(f"/proc/{child}/cmdline").read_bytes()
                parent = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if word in line and b"die_with_parent.py" not in line and int(parent) == self.process.pid:
                return child
        return None

    def wiring(self) -> Wiring:
        """The wiring of the system, to read the history and to request a collection."""
        environ = environment_of(self.data)
        assert environ is not None
        settings = load_settings(environ=environ)
        return wire(settings, connect(settings.redis.address or "", answer_s=PATIENCE_S))

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait; nothing that it started is alive on return."""
        family = descendants(self.process.pid)
        self.process.send_signal(number)
        code = self.process.wait(300)
        wait_until(lambda: not any(alive(pid) for pid in family), "an orphan is left")
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(*arguments): a `pushprune up`, not waited for."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> Up:
            up = Up(tmp_path, *arguments)
            stack.callback(up.process.wait)
            stack.callback(up.process.kill)
            return up

        yield begin


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    require_registry()
    with RealRegistry(directory=tmp_path) as running:
        yield running


@pytest.fixture
def pusher(registry: RealRegistry) -> Iterator[Pusher]:
    with Pusher(registry.url) as client:
        yield client


def announce(registry: RealRegistry, up: Up) -> None:
    """Act as the operator: paste the lines, restart the registry."""
    block: dict[str, Any] = yaml.safe_load((up.data / "notifications.yml").read_text())
    block["notifications"]["endpoints"][0] |= {"threshold": 3, "backoff": "100ms"}
    registry.restart(block)


def test_the_last_three_stay_and_a_second_start_goes_on_where_the_first_one_was(
    registry: RealRegistry, pusher: Pusher, start: Start
) -> None:
    up = start("--registry", registry.url, "--keep-last", "3").wait_ready()
    announce(registry, up)
    for number in range(1, 6):
        pusher.push_image("shop/api", f"v{number}")
    wait_until(lambda: set(pusher.tags("shop/api")) == {"v3", "v4", "v5"}, "v1 and v2 are still there")
    assert up.end(signal.SIGINT) == 0
    again = start("--registry", registry.url, "--keep-last", "3", "--listen", up.listen).wait_ready()
    pruned = [entry.tag for entry in again.wiring().store.history.entries("shop/api") if entry.action == "pruned"]
    assert sorted(pruned) == ["v1", "v2"]
    pusher.push_image("shop/api", "v6")
    wait_until(lambda: set(pusher.tags("shop/api")) == {"v4", "v5", "v6"}, "v3 is still there")


def test_the_log_tells_the_operator_what_to_do_and_one_line_when_all_is_ready(
    registry: RealRegistry, start: Start
) -> None:
    up = start("--registry", registry.url).wait_ready()
    assert f"add the lines in {up.data / 'notifications.yml'} to the registry's config.yml" in up.log
    assert "Bearer" not in up.log, "a log is kept, and its readers must not get the token"
    assert "storage: {delete: {enabled: true}}" in up.log
    assert up.log.count("nothing will be deleted until one is given") == 1
    assert [line for line in up.log.splitlines() if "ready at" in line] == [
        f"pushprune | ready at http://{up.listen}, keeping {registry.url} small"
    ]
    warnings = [line for line in up.log.splitlines() if "warning" in line]
    assert [line for line in warnings if "Redis does not answer" not in line] == []
    assert requests.post(f"http://{up.listen}/notifications", json={"events": []}, timeout=60).status_code == 401
    up.end(signal.SIGTERM)
    elsewhere = start("--registry", registry.url).wait_ready()
    assert "add the lines in " in elsewhere.log, "the registry must be told of the new address"
    assert "Bearer" not in elsewhere.log


def test_kill_9_leaves_no_orphan_not_even_a_collection_and_the_next_start_goes_on(
    tmp_path: Path, registry: RealRegistry, start: Start
) -> None:
    config, mark = tmp_path / "config.yml", tmp_path / "collecting"
    collector = f"open({str(mark)!r}, 'w'); import time; time.sleep(600)"
    gc = {"command": shlex.join([sys.executable, "-c", collector]), "settle": 0}
    config.write_text(yaml.safe_dump({"gc": gc}))
    up = start("--registry", registry.url, "--config", str(config)).wait_ready()
    up.wiring().store.collections.request("a test wants one")
    wait_until(mark.exists, "no collection began")
    wait_until(lambda: len(descendants(up.process.pid)) == 4, "redis, web, worker, collection")
    up.end(signal.SIGKILL)
    again = start("--registry", registry.url, "--listen", up.listen).wait_ready()
    assert again.wiring().store.collections.requested() == "a test wants one"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Pusher]]:
    """A ready system that keeps the last push of each repository; each test pushes to a repository of its own."""
    require_registry()
    folder = tmp_path_factory.mktemp("up")
    with RealRegistry(directory=folder) as running, Pusher(running.url) as client:
        up = Up(folder, "--registry", running.url, "--keep-last", "1")
        try:
            announce(running, up.wait_ready())
            yield up, client
        finally:
            up.process.kill()
            up.process.wait()


def test_each_process_keeps_the_directory_claimed_until_it_is_gone(shared: tuple[Up, Pusher]) -> None:
    """After a kill -9, a new start waits for the last process of the old one (see DataDirectory)."""
    up, _ = shared
    family = wait_until(lambda: len(of := descendants(up.process.pid)) == 3 and of, "redis, web, worker")
    for pid in family:
        held = {fd.readlink() for fd in Path(f"/proc/{pid}/fd").iterdir()}
        assert up.data / "children.lock" in held
        assert up.data / "up.lock" not in held


@pytest.mark.parametrize("name", ["redis", pytest.param("web", marks=pytest.mark.deep), "worker"])
def test_whichever_child_is_killed_the_work_goes_on(shared: tuple[Up, Pusher], name: str) -> None:
    up, pusher = shared
    repository = f"shop/{name}"
    pusher.push_image(repository, "v1")
    victim = up.pid(name)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    pusher.push_image(repository, "v2")
    wait_until(lambda: set(pusher.tags(repository)) == {"v2"}, f"v1 is still there after {name} was killed")
    assert f"pushprune | {name} was killed by SIGKILL, starting it again" in up.log
    wait_until(lambda: up.pid(name) not in (None, victim), f"{name} was not started again")


def test_a_child_that_cannot_live_ends_all_with_one_sentence(
    tmp_path: Path, registry: RealRegistry, start: Start
) -> None:
    folder = tmp_path / "data" / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("garbage")
    broken = start("--registry", registry.url)
    assert broken.process.wait(300) == 1
    assert broken.log.splitlines()[-1] == "pushprune: redis ended 3 times, see its lines in the log above."
