"""`pushprune demo`: the story is told on a real registry, everything in it is checked, nothing of it stays behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service.local import story
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.live.conftest import wait_until
from tests.support.up import alive, descendants

pytestmark = pytest.mark.live


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One that would lead the demo astray, were it to look there."""
    require_registry()
    mislaid = {"PUSHPRUNE_LISTEN": "192.0.2.1:80", "REDIS_URL": "redis://192.0.2.1/0"}
    mislaid |= {"REGISTRY_STORAGE_DELETE_ENABLED": "false"}
    return {**os.environ, **mislaid, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from service.cli.main import main; main()", "demo", *arguments]


def test_once_ends_well_and_its_last_lines_say_what_stayed_what_went_and_what_was_collected(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    ended = subprocess.run(command("--once"), env=environment, capture_output=True, text=True, check=False, timeout=170)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    stayed, heading, went = ended.stdout.partition("10 kept builds of shop/api:\n")[2].partition("5 builds deleted:\n")
    assert heading
    names = [line.split()[0] for line in stayed.splitlines()]
    assert sorted(names) == sorted(f"build-{number}" for number in (3, *range(7, 16)))
    assert all("of the newest 10 (rule last-10)" in line for line in stayed.splitlines())
    *gone, collected, last = went.splitlines()
    assert [line.split(maxsplit=1) for line in gone] == [
        [f"build-{number}", "older than the newest 10 (rule last-10)"] for number in (1, 2, 4, 5, 6)
    ]
    assert collected.startswith("collection: 15 blobs deleted, 1,0")
    assert last == "verified: the registry contains exactly what the policy keeps"
    assert list(tmp_path.iterdir()) == []


def test_once_ends_with_1_when_the_registry_does_not_hold_exactly_what_was_expected(
    environment: dict[str, str],
) -> None:
    script = (
        "from service.local import story; remains = story.remains; "
        "story.remains = lambda pushes, last, protected: remains(pushes, last - 1, protected); "
        "from service.cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "demo", "--once"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("pushprune: not as the policy says: ")
    assert "shop/api:build-7 is there, but must be gone;" in ended.stderr
    assert "everything is exactly as the policy says" not in ended.stdout


def test_without_once_it_stays_up_until_ctrl_c_and_leaves_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    log = tmp_path / "log"
    environment["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    with log.open("w") as stream:
        process = subprocess.Popen(command(), env=environment, stdout=stream, stderr=stream)
    try:
        wait_until(
            lambda: "Still up: push to " in log.read_text() or process.poll() is not None, "the story has no end", 170
        )
        assert process.poll() is None, log.read_text()
        url = log.read_text().partition("Still up: push to ")[2].partition(",")[0]
        assert requests.get(f"{url}/v2/", timeout=10).ok
        family = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        wait_until(lambda: not any(alive(pid) for pid in family), "an orphan is left")
        assert list((tmp_path / "tmp").iterdir()) == []
    finally:
        process.kill()
        process.wait()


def test_where_there_is_no_registry_it_says_how_to_get_one(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["PUSHPRUNE_REGISTRY_BIN"] = str(tmp_path / "none")
    ended = subprocess.run(command("--once"), env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    require_registry()
    with RealRegistry(directory=tmp_path) as running:
        yield running


def test_its_own_eyes_see_what_is_there_and_what_is_broken(registry: RealRegistry) -> None:
    client = story.Registry(registry.url)
    pushes = tuple(story.tell(client))
    assert {(push.repository, push.tag) for push in pushes} == {
        *((story.APP, f"build-{number}") for number in range(1, 16)),
        (story.APP, "latest"),
        (story.APP, "stable"),
        (story.SITE, "1.0"),
    }
    newest, index = pushes[-2].digest, pushes[-1].digest
    assert client.tags(story.APP)["latest"] == newest == client.tags(story.APP)["build-15"]
    assert client.tags(story.APP)["stable"] == client.tags(story.APP)["build-3"]
    assert client.is_whole(story.APP, newest)
    assert client.is_whole(story.SITE, index)
    assert not client.is_whole(story.APP, index)
    for data in registry.storage_path.glob("docker/registry/v2/blobs/sha256/*/*/data"):
        if data.stat().st_size > story.LAYER_BYTES:
            data.unlink()
    assert client.has_manifest(story.APP, newest)
    assert not client.is_whole(story.APP, newest)
    assert not client.is_whole(story.SITE, index)


def test_the_tags_of_the_story_are_what_the_policy_is_expected_to_leave(registry: RealRegistry) -> None:
    left = story.remains(story.tell(story.Registry(registry.url)), 10, "latest")
    builds = sorted(int(tag[6:]) for _, tag in left if tag.startswith("build-"))
    assert builds == [3, *range(7, 16)]
    assert len(left) == 13
