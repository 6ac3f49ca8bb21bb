"""`--registry URL`: a verb without any service, on a registry that it looks at itself."""

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
    """The system of this verb, which ends with it: these repositories are compared and the policy was tried.

    Progress is printed on standard error, where that is a terminal.

    Args:
        repositories: all where there are none, or a glob is among them.
        trash: the folder for what is deleted.

    Raises:
        RegistryRefused: the registry does not list its repositories, and the settings do not name any.
    """
    refuse_v1(config)
    _say(f"looking at {url} …")
    system = click.get_current_context().with_resource(one_off(url, policy, config, os.environ, trash))
    found = system.compare(() if any(map(is_glob, repositories)) else repositories)
    _say(f"{found.repositories} repositories with {found.tags} tags")
    if found.catalog and not system.wiring.settings.reconcile.repositories:
        raise RegistryRefused(f"{found.catalog}: {NAME_THEM}")
    if found.catalog:
        click.echo(f"pushprune: {found.catalog}", err=True)
    system.rest()
    return system


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)
