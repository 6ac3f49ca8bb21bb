"""The environment that `pushprune up` gives its children, kept so that the other verbs reach the same system.

Secrets are in files of their own: every process of the same user can read an environment, and children inherit it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from service.domain.errors import ConfigurationError
from service.local.tokens import private
from service.settings import Settings, load_settings

_FILE = "environment.json"
_SECRETS = ("TOKENS__NOTIFY", "TOKENS__READ", "TOKENS__ADMIN", "REDIS__URL", "REGISTRY__PASSWORD")


def secrets_in_files(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the secrets that it holds moved to files, which only their owner can read.

    Raises ConfigurationError when the directory cannot hold them.
    """
    moved = dict(environ)
    for secret in _SECRETS:
        if value := moved.pop(f"PUSHPRUNE_{secret}", ""):
            file = directory / "secrets" / secret.lower().replace("__", "_")
            try:
                file.parent.mkdir(mode=0o700, exist_ok=True)
                private(file, value + "\n")
            except OSError as error:
                raise ConfigurationError(f"{file.parent} cannot hold secrets: {error.strerror}.") from error
            moved[f"PUSHPRUNE_{secret}_FILE"] = str(file)
    return moved


def keep_environment(directory: Path, environ: Mapping[str, str]) -> None:
    """Save the settings of `environ` in the data directory, readable by its owner only."""
    settings = {name: value for name, value in environ.items() if name.startswith("PUSHPRUNE_")}
    private(directory / _FILE, json.dumps(settings, indent=1, sort_keys=True))


def environment_of(directory: Path) -> dict[str, str] | None:
    """Return the saved settings; None if `pushprune up` never ran in this directory."""
    try:
        kept = json.loads((directory / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return {str(name): str(value) for name, value in kept.items()}


def running_settings(config: Path | None, data: Path | None) -> Settings | None:
    """Return the settings of the running system; None if no setting and no data directory names its Redis."""
    if data is None:
        settings = load_settings(config)
        if settings.redis.url is not None:
            return settings
        data = settings.data_dir
    environ = environment_of(data)
    return load_settings(config, environ=environ) if environ is not None else None
