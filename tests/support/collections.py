"""Makers for tests of collections."""

import shlex
from pathlib import Path

from tests.fakes.real_registry import registry_binary


def command(folder: Path) -> str:
    """The registry's own collector; its config is where RealRegistry writes it."""
    return shlex.join([str(registry_binary()), "garbage-collect", str(folder / "registry" / "config.yml")])


def disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
