"""Collectors for `gc.command`: a script, or that of the real registry; and hours in which none may begin."""

import shlex
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fakes.real_registry import registry_binary


def collector(folder: Path, body: str) -> dict[str, Any]:
    """Settings whose gc.command is a Python script; `dry` says whether --dry-run was given."""
    script = folder / "collector.py"
    script.write_text(
        f"import os, pathlib, sys, time\ndry = '--dry-run' in sys.argv\nfolder = pathlib.Path({str(folder)!r})\n"
    )
    with script.open("a") as file:
        file.write(textwrap.dedent(body))
    return {"command": [sys.executable, str(script)], "after_deletes": 3, "settle": 0}


QUIET = """
    print()
    print("0 blobs marked, 2 blobs and 0 manifests eligible for deletion")
    print("blob eligible for deletion: sha256:" + "a" * 64)
    print("blob eligible for deletion: sha256:" + "b" * 64)
    (folder / ("dry" if dry else "swept")).touch()
"""
# Ends when `go` is there.
WAITS = """
    (folder / ("dry" if dry else "sweep")).touch()
    while not (folder / "go").exists(): time.sleep(0.01)
"""


def command(folder: Path) -> str:
    """The registry's own collector; its config is where RealRegistry writes it."""
    return shlex.join([str(registry_binary()), "garbage-collect", str(folder / "registry" / "config.yml")])


def disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def shut() -> str:
    """Hours that do not hold now, nor in the next hours."""
    hour = (datetime.now(UTC).hour + 12) % 24
    return f"{hour:02}:00-{hour:02}:30"
