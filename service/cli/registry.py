"""The options --registry and --v1, and the registry that they name for the verb under way."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from service.domain.errors import RegistryTooOld
from service.registry.v1 import RegistryV1
from service.restore.trash_folder import TrashFolder, default_folder
from service.settings import load_settings
from service.wiring import registry_v1

_KEY = "service.cli.registry"


def registry_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --registry and --v1, which `asked_registry` and `reach_v1` tell."""

    def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
        context.meta[f"{_KEY}.{option.name}"] = value

    command = click.option(
        "--v1", is_flag=True, expose_value=False, callback=keep, is_eager=True,
        help="It is a registry of version 1, of which there is no history: tags and rm speak to it.",
    )(command)  # fmt: skip
    return click.option(
        "--registry", metavar="URL", expose_value=False, callback=keep, is_eager=True,
        help="Without any service: look at the registry at URL, now and once.",
    )(command)  # fmt: skip


def trash_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --trash, the folder for what a verb deletes with --registry."""
    return click.option(
        "--trash", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
        help="With --registry: save what is deleted in DIR [./pushprune-trash/HOST/TIME].",
    )(command)  # fmt: skip


def trash_folder(url: str, trash: Path | None) -> TrashFolder:
    """The folder for what the verb under way deletes at this registry."""
    return TrashFolder((trash or default_folder(url, datetime.now())).absolute())


def undo_hint(folder: Path) -> str:
    """The sentence that says how a deletion with --registry is undone."""
    return (
        f"what was deleted is saved in {folder}; to undo it, before the next garbage collection: "
        f"pushprune restore --registry {asked_registry()} --from {folder}"
    )


def asked_registry() -> str | None:
    """The registry that the verb under way is to look at itself, or None."""
    url: str | None = click.get_current_context().meta.get(f"{_KEY}.registry")
    return url


def reach_v1(config: Path | None) -> RegistryV1 | None:
    """The registry of version 1 that is meant, by --v1 or because the one at --registry is; None where none is.

    Raises ConfigurationError where --v1 means none that is known.
    """
    url, v1 = asked_registry(), bool(click.get_current_context().meta.get(f"{_KEY}.v1"))
    if not (url or v1):
        return None
    registry = registry_v1(load_settings(config, **({"registry": {"url": url}} if url else {})))
    return registry if v1 or registry.is_there() else None


def refuse_v1(config: Path | None) -> None:
    """Raises RegistryTooOld where a registry of version 1 is meant."""
    if old := reach_v1(config):
        raise RegistryTooOld(f"the registry at {old.url}")
