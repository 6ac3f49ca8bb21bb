"""Makers for tests of rm."""

import os

from tests.fakes.warm import run_verb
from tests.live.conftest import PATIENCE_S, LiveSystem


def pushprune(system: LiveSystem, *arguments: str) -> str:
    """Run a verb as a user at another terminal does, and return its output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PUSHPRUNE_")}
    done = run_verb(*arguments, "--config", str(system.config), environment=environment, timeout_s=3 * PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
