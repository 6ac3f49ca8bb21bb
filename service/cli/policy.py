"""`pushprune policy check FILE`: whether a policy can be obeyed."""

from pathlib import Path

import click

from service.settings import load_policy


@click.group()
def policy() -> None:
    """Check a policy before it is put in force."""


@policy.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say whether FILE is a policy; exit with 2 and one sentence when it is not."""
    rules = load_policy(file).rules
    click.echo(f"{file}: {len(rules)} {'rule' if len(rules) == 1 else 'rules'}, understood")
