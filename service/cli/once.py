"""`--registry URL`: run a verb without a pushprune service, directly on a registry."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from service.cli.registry import refuse_v1
from service.domain.errors import RegistryRefused
from service.domain.policy.model import Policy
from service.domain.reconciliation import NAME_THEM
from service.domain.retention.selector import is_glob
from service.local.oneoff import OneOff, one_off


def look_once(
    url: str, config: Path | None, policy: Policy, repositories: Sequence[str] = (), trash: Path | None = None
) -> OneOff:
    """Start a system for this verb alone, compare the repositories with the registry, and try the policy.

    The system ends together with the verb.

    Progress is printed on standard error, where that is a terminal.

    Args:
        repositories: names. All repositories are compared if this is empty or contains a glob.
        trash: the folder that saves deleted images.

    Raises:
        RegistryRefused: the registry does not list its repositories, and the settings do not name any.
    """
    refuse_v1(config)
    _say(f"looking at {url} …")
    system = click.get_current_context().with_resource(one_off(url, policy, config, os.environ, trash))
    compared = system.compare(() if any(map(is_glob, repositories)) else repositories)
    _say(f"{compared.repositories} repositories with {compared.tags} tags")
    if compared.catalog and not system.wiring.settings.reconcile.repositories:
        raise RegistryRefused(f"{compared.catalog}: {NAME_THEM}")
    if compared.catalog:
        click.echo(f"pushprune: {compared.catalog}", err=True)
    system.rest()
    return system


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)
