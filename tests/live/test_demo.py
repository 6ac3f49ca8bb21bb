"""`pushprune demo`: the story runs on a real registry, everything in it is checked, and nothing is left behind.

The first two tests have nothing of ours but the wheel; the others run the sources.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.fakes.real_registry import require_registry
from tests.live.conftest import wait_until
from tests.support import package
from tests.support.processes import alive, descendants


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose variables would mislead the demo if it read them."""
    require_registry()
    mislaid = {"PUSHPRUNE_LISTEN": "192.0.2.1:80", "REDIS_URL": "redis://192.0.2.1/0"}
    mislaid |= {"REGISTRY_STORAGE_DELETE_ENABLED": "false"}
    return {**os.environ, **mislaid, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from service.cli.main import main; main()", "demo", *arguments]


def opened(link: str, page: str = "/") -> str:
    """A page of the dashboard after a click on the button behind a sign-in link."""
    browser, origin = requests.Session(), link.partition("/login/")[0]
    csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get(link, timeout=60).text)
    assert csrf
    browser.post(link, data={"csrf": csrf[1]}, headers={"Origin": origin}, timeout=60)
    return browser.get(f"{origin}{page}", timeout=60).text


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment in which only the wheel is installed."""
    _, wheel = package.built(tmp_path_factory.mktemp("release"))
    return package.environment_of(wheel, tmp_path_factory.mktemp("installed")) / "pushprune"


def check_the_end_of_the_story(output: str) -> None:
    """Check the table of verdicts, and the lines on what was kept, deleted and collected."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]
    builds = {name.removeprefix("shop/api:build-"): rest for name, _, *rest in rows if "build-" in name}
    deleted = {number: reason for number, (verdict, reason) in builds.items() if verdict == "deleted"}
    assert deleted == dict.fromkeys(("1", "2", "4", "5", "6"), "older than the newest 10 (rule last-10)"), output
    kept = {number: reason for number, (verdict, reason) in builds.items() if verdict == "kept"}
    assert sorted(map(int, kept)) == [3, *range(7, 16)]
    assert all(reason.endswith("of the newest 10 (rule last-10)") for reason in kept.values())
    lines = output.partition("builds of shop/api: ")[2].splitlines()
    assert lines[0] == "10 kept, 5 deleted"
    assert lines[1].startswith("collection: 15 blobs deleted, 1,0")
    assert lines[2] == "verified: the registry contains exactly what the policy keeps"
    assert lines[3] == "now with your registry: pushprune up --registry http://HOST:PORT --keep-last 10"


# The story is also checked without `--once`.
@pytest.mark.deep
def test_once_ends_well_and_leaves_nothing(tmp_path: Path, environment: dict[str, str], installed: Path) -> None:
    del environment["PYTHONPATH"]
    once = [str(installed), "demo", "--once"]
    ended = subprocess.run(
        once, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    check_the_end_of_the_story(ended.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.deep
def test_once_ends_with_1_when_the_registry_does_not_hold_exactly_what_was_expected(
    environment: dict[str, str],
) -> None:
    script = (
        "from service.local import demo; collect = demo.Demo._collect; from service.local.demo_story import APP\n"
        "def lose(self):\n"
        "    result = collect(self)\n"
        "    self._user.delete(APP, self._user.head(APP, 'build-7').digest)\n"
        "    return result\n"
        "demo.Demo._collect = lose; from service.cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "demo", "--once"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    # Where Redis stood still for a while, a warning comes first.
    sentence = ended.stderr.splitlines()[-1]
    assert sentence.startswith("pushprune: not as the policy says: ")
    assert "shop/api:build-7 is kept, but does not point at sha256:" in sentence
    assert "verified: " not in ended.stdout


def check_that_ctrl_c_leaves_nothing(process: subprocess.Popen[bytes], folder: Path) -> None:
    family = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 0
    wait_until(lambda: not any(alive(pid) for pid in family), "an orphan is left")
    assert list(folder.iterdir()) == []


def test_without_once_it_stays_up_until_ctrl_c_and_leaves_nothing(
    tmp_path: Path, environment: dict[str, str], installed: Path
) -> None:
    del environment["PYTHONPATH"]
    log = tmp_path / "log"
    environment["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [str(installed), "demo"], env=environment, cwd=tmp_path, stdout=stream, stderr=stream
        )
    try:
        wait_until(
            lambda: "Still up: push to " in log.read_text() or process.poll() is not None, "the story has no end"
        )
        assert process.poll() is None, log.read_text()
        check_the_end_of_the_story(log.read_text())
        url = log.read_text().partition("Still up: push to ")[2].partition(",")[0]
        assert requests.get(f"{url}/v2/", timeout=60).ok
        wait_until(lambda: "Another one: pushprune sign-in --data " in log.read_text(), "no link is printed")
        (link,) = re.findall(r"http://\S+/login/\S+", log.read_text())
        assert "dashboard (admin)" in opened(link), "a newcomer sees the dashboard, signed in"
        check_that_ctrl_c_leaves_nothing(process, tmp_path / "tmp")
    finally:
        process.kill()
        process.wait()


def test_without_a_registry_the_demo_says_how_to_get_one(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["PUSHPRUNE_REGISTRY_BIN"] = str(tmp_path / "none")
    ended = subprocess.run(command("--once"), env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1


def test_large_shows_a_company_without_a_registry_until_ctrl_c_and_leaves_nothing(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    # No binary of a registry is needed.
    environment |= {"TMPDIR": str(tmp_path / "tmp"), "PUSHPRUNE_REGISTRY_BIN": str(tmp_path / "none")}
    (tmp_path / "tmp").mkdir()
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command("--large", "--repositories", "5"), env=environment, cwd=tmp_path, stdout=stream, stderr=stream
        )
    try:
        wait_until(
            lambda: "Another one: pushprune sign-in" in log.read_text() or process.poll() is not None,
            "the dashboard does not start",
        )
        assert process.poll() is None, log.read_text()
        assert re.search(r"recorded 14 days in \d+ s: \d+ tags in 5 repositories, \d+ images deleted", log.read_text())
        assert "no registry runs, no image exists, and nothing is deleted anywhere" in log.read_text()
        (link,) = re.findall(r"http://\S+/login/\S+", log.read_text())
        assert "team00/service00000" in opened(link, "/panels/repositories/list")
        check_that_ctrl_c_leaves_nothing(process, tmp_path / "tmp")
    finally:
        process.kill()
        process.wait()
