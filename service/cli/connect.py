"""The connection of a verb to the running system: by settings, or by the data directory of `pushprune up`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.registry import asked_registry, refuse_v1
from service.domain.errors import ConfigurationError, unknown_repository
from service.domain.policy.model import Policy
from service.domain.retention.selector import TagSelector

# Imported where they are used: a verb with --registry needs none of it before its first request.
if TYPE_CHECKING:
    from service.reports.inventory import Inventory
    from service.settings import Settings
    from service.wiring import Wiring


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options --config and --data, which name the running system."""
    file = click.Path(dir_okay=False, path_type=Path)
    folder = click.Path(file_okay=False, path_type=Path)
    command = click.option("--config", metavar="FILE", type=file, help="Settings as YAML [PUSHPRUNE_CONFIG].")(command)
    return click.option("--data", metavar="DIR", type=folder, help="The data of `pushprune up` [./pushprune-data].")(
        command
    )


def connect(config: Path | None, data: Path | None, only: Sequence[str] = ()) -> Wiring:
    """Return the collaborators of the running system; with --registry, those of a system for this verb alone.

    Args:
        only: names or globs of the repositories that the verb reads; () for all.

    Raises:
        ConfigurationError: no setting and no data directory names the system's Redis.
        RegistryTooOld: the registry is of version 1.
    """
    if url := asked_registry():
        # Imported here: the tasks and the local Redis would slow down every verb that does not need them.
        from service.cli.one_off import compare_once

        return compare_once(url, config, Policy(), only).wiring
    refuse_v1(config)
    from service.local.environment import running_settings
    from service.settings import load_settings

    settings = running_settings(config, data)
    if settings is None:
        raise ConfigurationError(
            f"no running pushprune found in {data or load_settings(config).data_dir}: start `pushprune up`, name its "
            "data directory with --data, or set redis.url (--config)"
        )
    return _wired(settings)


def _wired(settings: Settings) -> Wiring:
    from service import log
    from service.wiring import wire

    wiring = wire(settings, patient=True)
    if settings.log.level == "info":
        # A verb prints its own result: log lines of level info would only repeat it.
        log.configure(settings.log.format, "warning")
    if wiring.policies.error:
        wiring.policies.current()
        click.echo(f"pushprune: {wiring.policies.complaint}", err=True)
    return wiring


def known_repositories(inventory: Inventory, repositories: Iterable[str]) -> tuple[str, ...]:
    """Return the names unchanged. Raises NoSuchRepository for an unknown repository."""
    all_names = set(inventory.names())
    names = tuple(repositories)
    for name in names:
        if name not in all_names:
            raise unknown_repository(name)
    return names


def matching_repositories(inventory: Inventory, names: Iterable[str]) -> tuple[str, ...]:
    """Return the repositories that match the names and globs, each once. Raises NoSuchRepository for no match."""
    all_names, matched = inventory.names(), dict[str, None]()
    for name in names:
        matches = TagSelector(name).repositories(all_names)
        if not matches:
            raise unknown_repository(name)
        matched |= dict.fromkeys(matches)
    return tuple(matched)
