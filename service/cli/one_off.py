"""`--registry URL`: run a verb without a pushprune service, directly on a registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.registry import refuse_v1
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.history.reconciliation import NAME_THEM
from service.domain.policy.model import Policy
from service.domain.policy.units import spell_count
from service.domain.retention.selector import TagSelector, is_glob

if TYPE_CHECKING:
    from service.local.one_off import OneOff
    from service.registry import Registry


def compare_once(
    url: str, config: Path | None, policy: Policy, repositories: Sequence[str] = (), trash: Path | None = None
) -> OneOff:
    """Compare repositories with the registry and plan them by the policy, for this verb alone.

    Progress is printed on standard error, where that is a terminal.

    Args:
        url: the URL of the registry.
        config: the settings as YAML, or None.
        policy: what is to be kept.
        repositories: names or globs; () for all. No other repository is compared, so nothing is deleted in any other.
        trash: the folder that saves deleted images.

    Raises:
        RegistryRefused: the registry does not list its repositories, and the settings do not name any.
    """
    from service.cli.progress import shown_progress

    system, names = open_once(url, config, policy, repositories, trash)
    with shown_progress(system):
        tags = system.compare(names)
    _say(f"{spell_count(len(names), 'repository')} with {spell_count(tags, 'tag')}")
    return system


def open_once(
    url: str, config: Path | None, policy: Policy, repositories: Sequence[str] = (), trash: Path | None = None
) -> tuple[OneOff, Sequence[str]]:
    """Return the system for this verb alone, and the repositories to work on. See `compare_once`."""
    refuse_v1(config)
    # Imported after the first request: a wrong URL is reported at once, and the other imports take most of the start.
    from service.local.one_off_system import one_off_system

    _say(f"comparing with {url} …")
    system = click.get_current_context().with_resource(one_off_system(url, policy, config, os.environ, trash))
    return system, _selected(system.wiring.registry, repositories)


def _selected(registry: Registry, repositories: Sequence[str]) -> Sequence[str]:
    """Return the named repositories, and those that the registry lists and a glob matches; without names all listed."""
    globs = [name for name in repositories if is_glob(name)]
    if repositories and not globs:
        return repositories
    listed = _catalog(registry)
    matched = (name for glob in globs for name in TagSelector(glob).repositories(listed))
    exact = (name for name in repositories if name not in globs)
    return tuple(dict.fromkeys((*exact, *matched))) if repositories else listed


def _catalog(registry: Registry) -> Sequence[str]:
    """Return the repositories that the registry lists, and those that the settings name."""
    named = registry.named
    try:
        return tuple(dict.fromkeys((*registry.client.repositories(), *named)))
    except (RegistryRefused, RegistryUnavailable) as error:
        failure = f"the registry does not list its repositories ({error})"
        if not named:
            raise RegistryRefused(f"{failure}: {NAME_THEM}") from error
        click.echo(f"pushprune: {failure}, so only those in reconcile.repositories were compared", err=True)
        return named


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)
