"""Makers for tests of garbage."""

import sys
import textwrap
from pathlib import Path
from typing import Any


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
