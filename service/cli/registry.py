"""The options --registry and --v1 of the verbs that need no service, and the registry that they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.command import RegistryAddress
from service.cli.output import keep, kept
from service.domain.errors import RegistryTooOld
from service.restore.trash_folder import TrashFolder, default_folder

if TYPE_CHECKING:
    from service.registry.v1 import RegistryV1


def registry_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --registry, which `asked_registry` and `connect` read."""
    return click.option(
        "--registry", metavar="URL", type=RegistryAddress(), expose_value=False, callback=keep, is_eager=True,
        help="Work directly on the registry at URL, without a pushprune service.",
    )(command)  # fmt: skip


def v1_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --v1, which `connect_v1` reads."""
    return click.option(
        "--v1", is_flag=True, expose_value=False, callback=keep, is_eager=True,
        help="Legacy v1 registry, which has no history.",
    )(command)  # fmt: skip


def trash_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --trash, the folder that saves what a verb deletes with --registry."""
    return click.option(
        "--trash", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
        help="With --registry: save what is deleted in DIR [./pushprune-trash/HOST/TIME].",
    )(command)  # fmt: skip


def trash_folder(url: str, trash: Path | None) -> TrashFolder:
    """Return the folder that saves what the current verb deletes at this registry."""
    return TrashFolder((trash or default_folder(url, datetime.now())).absolute())


def restore_hint(folder: Path) -> str:
    """Return the sentence that says how to restore what was deleted with --registry."""
    return (
        f"deleted images are saved in {folder}; to restore them before the next garbage collection: "
        f"pushprune restore --registry {asked_registry()} --from {folder}"
    )


def asked_registry() -> str | None:
    """Return the URL of --registry, or None."""
    url: str | None = kept("registry")
    return url


def repeated_options() -> str:
    """Return the options --registry and --v1 of the current verb, to be added to another command; "" for neither."""
    url, v1 = asked_registry(), kept("v1")
    return f"{f' --registry {url}' if url else ''}{' --v1' if v1 else ''}"


def connect_v1(config: Path | None) -> RegistryV1 | None:
    """Return the registry of version 1 that --v1 or --registry names; None for version 2 or without both options.

    Raises ConfigurationError if --v1 is given and no registry is known.
    """
    url, v1 = asked_registry(), kept("v1")
    if not (url or v1):
        return None
    # Imported here: most verbs need neither.
    from service.registry_clients import registry_v1
    from service.settings import load_settings

    registry = registry_v1(load_settings(config, registry={"url": url}))
    return registry if v1 or registry.is_there() else None


def refuse_v1(config: Path | None) -> None:
    """Raise RegistryTooOld if the registry is of version 1."""
    if old := connect_v1(config):
        raise RegistryTooOld(f"the registry at {old.url}")
