"""The environment that `pushprune up` gives its children, kept so that the other verbs reach the same system."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

_FILE = "environment.json"


def keep_environment(directory: Path, environ: Mapping[str, str]) -> None:
    """Keeps the settings among `environ` in the data directory, readable for its owner only."""
    settings = {name: value for name, value in environ.items() if name.startswith("PUSHPRUNE_")}
    new = directory / f"{_FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(settings, file, indent=1, sort_keys=True)
    new.replace(directory / _FILE)


def environment_of(directory: Path) -> dict[str, str] | None:
    """What was kept there; None where no `pushprune up` ever ran."""
    try:
        kept = json.loads((directory / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return {str(name): str(value) for name, value in kept.items()}
