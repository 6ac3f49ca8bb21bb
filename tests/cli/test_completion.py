"""Completion in a real bash: verbs, options, repositories and tags, and silence where nothing answers."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeWiring
from tests.support.record import event, record
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(run: Run, make_wiring: MakeWiring, tmp_path: Path) -> Complete:
    """complete(line): the words that bash offers after a tab at the end of the line."""
    wiring = make_wiring()
    record(wiring.store.history, event(9, tag="v1", repository="shop/web"))
    key = wiring.store.connection.keys.of("deleted", "shop/api")
    wiring.store.connection.client.hset(key, f"gone {'A' * 43}", f"{'A' * 43} 1 2 3 too old")
    program = tmp_path / "pushprune"
    code = "from service.cli.main import main; main()"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    program.chmod(0o755)
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": root}
    _, script, _ = run("completion", "bash")

    def press_tab(line: str) -> list[str]:
        asked = f"COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; _pushprune_completion; echo \"${{COMPREPLY[@]}}\""
        ended = subprocess.run(
            ["bash", "--norc", "-c", f"compopt() {{ :; }}\n{script}\n{asked}"],
            env={**environment, "PUSHPRUNE_REDIS__URL": os.environ["PUSHPRUNE_REDIS__URL"]},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ended.stderr == ""
        return ended.stdout.split()

    return press_tab


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pushprune re", ["repos", "restore", "reconcile"]),
        ("pushprune repos ", ["shop/api", "shop/web"]),
        ("pushprune tags shop/api:", ["v1", "v2", "v3"]),
        ("pushprune rm shop/", ["shop/api:", "shop/web:"]),
        ("pushprune rm --force shop/api:v1 shop/api:v3", ["v3"]),
        ("pushprune restore shop/api:", ["gone"]),
        ("pushprune tags --plat", ["--platforms"]),
    ],
)
@pytest.mark.slow
def test_bash_completes_verbs_options_repositories_and_tags(complete: Complete, line: str, words: list[str]) -> None:
    assert complete(line) == words


@pytest.mark.slow
def test_a_redis_that_is_away_offers_nothing_and_says_nothing() -> None:
    # The program itself: the script of the shell would hide its messages.
    asked = {"_PUSHPRUNE_COMPLETE": "bash_complete", "COMP_LINE": "pushprune tags shop/"}
    environment = {**os.environ, **asked, "PUSHPRUNE_REDIS__URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, "-c", "from service.cli.main import main; main()"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (shown.returncode, shown.stdout.strip(), shown.stderr) == (0, "", "")


@pytest.mark.slow
def test_names_are_completed_without_importing_what_the_verbs_need() -> None:
    script = (
        "import sys\nfrom service.cli.main import main\ntry: main()\n"
        "except SystemExit: print(sorted({'celery', 'flask', 'requests'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "_PUSHPRUNE_COMPLETE": "bash_complete", "COMP_LINE": "pushprune tags "}
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout.endswith("[]\n")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_their_own(run: Run, shell: str) -> None:
    code, output, _ = run("completion", shell)
    assert (code, f"_PUSHPRUNE_COMPLETE={shell}_complete" in output) == (0, True)
