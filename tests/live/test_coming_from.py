"""The table of docs/other-tools.md: each command there does what the other tool did, without its mistakes.

Those that are like a test of `test_one_off.py` are deep.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.images import Image, make_image
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.registry_v1 import FakeRegistryV1
from tests.live.conftest import Live, last, wait_until
from tests.support import manual
from tests.support.collectors import command as collector
from tests.support.collectors import disk

TABLE = manual.page("other-tools").partition("# Coming from another tool")[2].partition("\n\n`")[0]
ROWS: dict[str, str] = dict(re.findall(r"^\| (.+?) \| `(.+)` \|$", TABLE, re.MULTILINE))
NOW = datetime.now(UTC)


def the(tool: str) -> str:
    """The command in the row of a tool."""
    (result,) = [command for name, command in ROWS.items() if tool in name]
    return result


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., str]:
    """shell(command, url) -> its output. The command deletes without a question, at `url` if it names a registry."""
    program = tmp_path / "bin" / "pushprune"
    program.parent.mkdir()
    root = Path(__file__).parents[2]
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(root))} exec {shlex.quote(sys.executable)} "
        "-c 'from service.cli.main import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)

    def run(command: str, url: str = "", **environ: str) -> str:
        command = re.sub(r"pushprune (prune|rm) ", r"pushprune \1 --yes ", command)
        command = command.replace("http://127.0.0.1:5000", url)
        path = f"{program.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path, **environ}, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def registry() -> Iterator[RealRegistry]:
    """shop/api: v1 … v7, each made a day after the one before, until today, and `latest` on v7."""
    require_registry()
    with RealRegistry() as registry, Pusher(registry.url) as pusher:
        for day in range(1, 8):
            pusher.push("shop/api", f"v{day}", image(day))
        pusher.push("shop/api", "latest", image(7))
        yield registry


def image(day: int, months_ago: int = 0) -> Image:
    return make_image(f"v{day}", created=NOW - timedelta(days=8 - day + 31 * months_ago))


def kept(*days: int) -> set[str]:
    return {"latest", *(f"v{day}" for day in days)}


def test_every_tool_of_the_table_is_here() -> None:
    assert len(ROWS) == 10


def test_a_shell_loop_that_keeps_the_newest(registry: RealRegistry, shell: Callable[..., str]) -> None:
    shell(the("shell loop"), registry.url)
    assert registry.tag_names("shop/api") == kept(7)
    with Pusher(registry.url) as pusher:
        pusher.pull_whole("shop/api", "latest")


@pytest.mark.deep
def test_docker_reg_tool_and_remove_image(registry: RealRegistry, shell: Callable[..., str]) -> None:
    assert "shop/api" in shell(the("`list`"), registry.url)
    listed = shell(the("`list shop/api`"), registry.url)
    assert all(name in listed for name in kept(*range(1, 8)))
    assert the("docker-reg-tool `delete") == the("remove_image_from_registry")
    shell(the("docker-reg-tool `delete"), registry.url)
    assert registry.tag_names("shop/api") == kept(*range(2, 8))


@pytest.mark.deep
def test_the_command_for_users_of_deckschrubber_keeps_the_same_images(
    registry: RealRegistry, shell: Callable[..., str]
) -> None:
    """The newest three of five images older than two months are kept, and so are all younger ones."""
    with Pusher(registry.url) as pusher:
        for day in range(1, 6):
            pusher.push("shop/old", f"v{day}", image(day, months_ago=5))
    shell(the("deckschrubber"), registry.url)
    assert registry.tag_names("shop/old") == {"v3", "v4", "v5"}
    assert registry.tag_names("shop/api") == kept(*range(1, 8))


@pytest.mark.deep
def test_the_command_for_users_of_registry_cli_keeps_the_same_images(
    registry: RealRegistry, shell: Callable[..., str]
) -> None:
    shell(the("registry-cli"), registry.url)
    assert registry.tag_names("shop/api") == kept(*range(3, 8))


@pytest.mark.deep
def test_the_command_for_a_registry_of_version_1_deletes_the_tag(shell: Callable[..., str]) -> None:
    with FakeRegistryV1() as registry:
        registry.push("shop/api", v1="a" * 64, v2="b" * 64)
        shell(the("/v1/repositories"), registry.url)
        assert set(registry.tags("shop/api")) == {"v2"}


def test_the_commands_in_place_of_deleted_folders_free_the_space(
    live: Live, tmp_path: Path, shell: Callable[..., str]
) -> None:
    system = live(policy=last(9), gc={"command": collector(tmp_path), "settle": 0})
    system.start_worker()
    for number in range(3):
        system.pusher.push_image("shop/api", f"v{number}", layer_bytes=50_000)
    system.pusher.push_image("shop/web", "v1")
    # The registry reports one push after the other.
    wait_until(lambda: system.heard("shop/web", {"v1"}), "the pushes were not heard")
    before = disk(system.registry.storage_path)
    shell(the("folders manually"), PUSHPRUNE_CONFIG=str(system.config))
    assert system.tags("shop/api") == set()
    assert before - disk(system.registry.storage_path) > 100_000
    system.pusher.pull_whole("shop/web", "v1")
    assert "done in" in shell(the("docker exec"), PUSHPRUNE_CONFIG=str(system.config))
