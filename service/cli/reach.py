"""How a verb reaches the running system: its settings, or the data directory of `pushprune up`."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from service import log
from service.cli.registry import asked_registry, refuse_v1, registry_option
from service.domain.errors import ConfigurationError, NoSuchRepository
from service.domain.policy.model import Policy
from service.domain.retention.selector import Wanted, is_glob
from service.local.environment import environment_of
from service.settings import Settings, load_settings
from service.wiring import Wiring, wire


def reaching(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where the running system is: --config and --data; or --registry, for one of its own."""
    file = click.Path(dir_okay=False, path_type=Path)
    folder = click.Path(file_okay=False, path_type=Path)
    command = click.option("--config", metavar="FILE", type=file, help="Settings as YAML [PUSHPRUNE_CONFIG].")(command)
    command = click.option(
        "--data", metavar="DIR", type=folder, help="The data directory of a running `pushprune up` [./pushprune-data]."
    )(command)
    return registry_option(command)


def reach(config: Path | None, data: Path | None, only: Sequence[str] = ()) -> Wiring:
    """The collaborators of the running system, or of one that looks at --registry for this verb alone.

    only: names or globs of the repositories that are asked about; () for all. Raises ConfigurationError when nothing
    says where its Redis is, RegistryTooOld for a registry of version 1.
    """
    if url := asked_registry():
        from service.cli.once import look_once  # its supervisor and all: only for whom it is

        return look_once(url, config, Policy(), () if any(map(is_glob, only)) else only).wiring
    refuse_v1(config)
    if data is None:
        settings = load_settings(config)
        if settings.redis.url is not None:
            return _wired(settings)
        data = settings.data_dir
    environ = environment_of(data)
    if environ is None:
        raise ConfigurationError(
            f"nothing says where Redis is: set redis.url (--config), or name the data directory of `pushprune up` "
            f"(--data; {data} is none)"
        )
    return _wired(load_settings(config, environ=environ))


def _wired(settings: Settings) -> Wiring:
    wiring = wire(settings, patient=True)
    if settings.log.level == "info":
        log.configure(settings.log.format, "warning")  # a verb says itself what it does
    if wiring.policies.error:
        wiring.policies.current()
        click.echo(f"pushprune: {wiring.policies.complaint}", err=True)
    return wiring


def known(wiring: Wiring, repositories: Iterable[str]) -> tuple[str, ...]:
    """The same names. Raises NoSuchRepository for one that nothing is known of."""
    every = set(wiring.history.repositories())
    names = tuple(repositories)
    for name in names:
        if name not in every:
            raise NoSuchRepository(f"no repository {name} is known; `pushprune repos` lists them")
    return names


def meant(wiring: Wiring, names: Iterable[str]) -> tuple[str, ...]:
    """The repositories that these names and globs mean, each once. Raises NoSuchRepository for one that means none."""
    every, found = wiring.history.repositories(), dict[str, None]()
    for name in names:
        those = Wanted(name).repositories(every)
        if not those:
            raise NoSuchRepository(f"no repository {name} is known; `pushprune repos` lists them")
        found |= dict.fromkeys(those)
    return tuple(found)


def need_policy(wiring: Wiring) -> Policy:
    """The policy in force, also while what stands in its place is broken; else one that takes nothing."""
    return wiring.policies.current() or Policy()


def show_json(value: Any) -> None:
    """Prints one JSON document."""
    click.echo(json.dumps(value, indent=2, default=str))
