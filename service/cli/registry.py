"""The option --registry, and the registry that it names for the verb under way."""

from collections.abc import Callable
from typing import Any

import click

_KEY = "service.cli.registry"


def registry_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --registry, which `asked_registry` tells."""

    def keep(context: click.Context, _: click.Parameter, value: str | None) -> None:
        context.meta[_KEY] = value

    return click.option(
        "--registry", metavar="URL", expose_value=False, callback=keep, is_eager=True,
        help="Without any service: look at the registry at URL, now and once.",
    )(command)  # fmt: skip


def asked_registry() -> str | None:
    """The registry that the verb under way is to look at itself, or None."""
    url: str | None = click.get_current_context().meta.get(_KEY)
    return url
