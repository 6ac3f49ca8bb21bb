"""`pushprune policy …`: check a policy, print its schema, simulate it on the past, import one from another tool."""

import sys
from pathlib import Path

import click

from service.cli.connect import show_json
from service.cli.policy_file import faults_of, load_policy_file
from service.cli.policy_import import import_policy
from service.cli.policy_simulate import simulate
from service.domain.policy.disabling import disabled_rules
from service.domain.policy.model import schema

_FILE = click.Path(dir_okay=False, path_type=Path)
_MISUSED = 2


@click.group()
def policy() -> None:
    """Check a policy before it is in force, simulate it on the past, or import one from another tool."""


@policy.command()
@click.argument("file", type=_FILE)
def check(file: Path) -> None:
    """Check that FILE, a policy or a configuration that contains one, is valid; exit with 2 if not."""
    faults = faults_of(file)
    for fault in faults:
        click.echo(f"pushprune: {fault}", err=True)
    if faults:
        sys.exit(_MISUSED)
    loaded = load_policy_file(file)
    for disabled in disabled_rules(loaded):
        click.echo(f"pushprune: warning: {file}: {disabled.sentence}", err=True)
    rules = loaded.rules
    summary = (
        f"{len(rules)} {'rule' if len(rules) == 1 else 'rules'}, understood" if rules else "no rule: nothing is deleted"
    )
    click.echo(f"{file}: {summary}")


@policy.command(name="schema")
def show_schema() -> None:
    """Print the JSON Schema of a policy file, for editors and other tools."""
    show_json(schema())


policy.add_command(import_policy)
policy.add_command(simulate)
