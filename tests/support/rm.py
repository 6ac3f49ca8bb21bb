"""Makers for tests of rm."""

from tests.live.conftest import LiveSystem


def pushprune(system: LiveSystem, *arguments: str) -> str:
    """Run a verb that succeeds, and return its output."""
    done = system.verb(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
