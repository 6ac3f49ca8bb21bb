"""The commands on the manual's page about backups do what the page says, in its order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import manual
from tests.support.backup import content, forget_all
from tests.support.record import event, record
from tests.support.system import System
from tests.support.verbs import Run

# Eleven processes, which wait for the others three times: each command is tried by itself elsewhere.
pytestmark = pytest.mark.deep

# As a shell finds it where pushprune is installed; it answers the question of --replace.
_PUSHPRUNE = f'pushprune() {{ echo y | {sys.executable} -m service "$@"; }}\n'


def shell(folder: Path, script: str) -> str:
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _PUSHPRUNE + script],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(manual.ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_every_command_does_what_the_page_says(lived: System, run: Run, tmp_path: Path) -> None:
    text, before = manual.page("backup"), content(lived.wiring)
    blocks = [block for block in manual.code_blocks(text, "sh") if "docker" not in block]
    make, take, move, audit = blocks
    assert "backup.jsonl.gz can be imported: 4 repositories" in shell(tmp_path, make)
    pruned = shell(tmp_path, audit).splitlines()
    assert len(pruned) > 3
    assert all('"rule":"last"' in line for line in pruned)
    into_empty, instead = take.splitlines()
    forget_all(lived.wiring)
    shell(tmp_path, into_empty)
    assert content(lived.wiring) == before
    record(lived.store.history, event(7, repository="shop/other"))
    shell(tmp_path, instead)
    assert content(lived.wiring) == before
    export, _, import_ = move.splitlines()
    shell(tmp_path, export)
    forget_all(lived.wiring)
    shell(tmp_path, import_)
    copy = re.search(r"`(pushprune export - \|) ssh NEW (pushprune import -)`", text)
    assert copy
    assert content(lived.wiring) == before
