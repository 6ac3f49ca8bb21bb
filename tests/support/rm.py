"""Makers for tests of rm."""

import os
import subprocess
import sys
from pathlib import Path

from tests.live.conftest import PATIENCE_S, LiveSystem


def pushprune(system: LiveSystem, *arguments: str) -> str:
    """Runs a verb as somebody at another terminal does; returns what it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PUSHPRUNE_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", "from service.cli.main import main; main()", *arguments]
    done = subprocess.run(
        [*command, "--config", str(system.config)], check=False, timeout=3 * PATIENCE_S,
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout
