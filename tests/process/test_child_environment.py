"""Commands that pushprune runs get what they need of its environment, and none of its secrets."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.local.redis_server import RedisServer
from service.process.child_environment import child_environment
from service.registry.collector import Collector
from service.registry.docker_config import DockerConfig
from service.registry.restart import run_command

SECRETS = {"PUSHPRUNE_TOKENS__ADMIN": "s3cret", "PUSHPRUNE_REDIS__URL": "redis://:s3cret@h", "REDIS_URL": "s3cret"}
NEEDED = {
    "HOME": "/root", "https_proxy": "http://proxy", "REGISTRY_STORAGE_S3_BUCKET": "b", "AWS_PROFILE": "p",
    "LC_ALL": "C", "DOCKER_HOST": "tcp://h", "KUBECONFIG": "/k",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SECRETS, **NEEDED}.items():
        monkeypatch.setenv(name, value)


def test_a_child_gets_the_variables_that_it_needs_and_no_others() -> None:
    assert child_environment({**SECRETS, **NEEDED, "MY_OTHER_SECRET": "x"}) == NEEDED


def by_collector(folder: Path, command: list[str]) -> None:
    Collector(command, folder / "lock", 60.0).run(lambda: True)


def by_hook(folder: Path, command: list[str]) -> None:
    run_command("gc.after", command, 60.0)


def by_helper(folder: Path, command: list[str]) -> None:
    helper = folder / "docker-credential-mine"
    login = json.dumps({"Username": "u", "Secret": "s"})
    lines = "\n".join(("#!/bin/sh", " ".join(f"'{word}'" for word in command), f"echo '{login}'"))
    helper.write_text(lines)
    helper.chmod(0o755)
    (folder / "config.json").write_text(json.dumps({"credsStore": "mine"}))
    assert DockerConfig(folder / "config.json", "registry:5000", 240.0).credentials() is not None


@pytest.mark.parametrize("run", [by_collector, by_hook, by_helper])
def test_no_command_gets_our_secrets(
    run: Callable[[Path, list[str]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    script = tmp_path / "look.py"
    script.write_text(f"import json, os; json.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))")
    run(tmp_path, [sys.executable, str(script)])
    seen = json.loads((tmp_path / "seen").read_text())
    assert NEEDED.items() <= seen.items()
    assert not [name for name in seen if name in SECRETS]


def test_our_own_redis_does_not_either(tmp_path: Path) -> None:
    child = RedisServer(Path("/usr/bin/true"), tmp_path).child({**SECRETS, **NEEDED})
    assert dict(child.environ) == NEEDED
