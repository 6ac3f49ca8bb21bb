"""`pushprune policy …`: check, edit, compare and simulate a policy, print its schema, import one of another tool."""

import sys
from pathlib import Path

import click

from service.answers.policy import PolicyCheck
from service.cli.command import VerbGroup, examples
from service.cli.output import line, output_options, show_document
from service.cli.policy_diff import diff
from service.cli.policy_edit import edit
from service.cli.policy_file import faults_of, load_policy_file
from service.cli.policy_import import import_policy
from service.cli.policy_simulate import simulate
from service.domain.policy.disabling import disabled_rules
from service.domain.policy.model import schema
from service.domain.policy.units import spell_count

_FILE = click.Path(dir_okay=False, path_type=Path)
_MISUSED = 2


@click.group(cls=VerbGroup, epilog=examples("pushprune policy check policy.yaml"))
def policy() -> None:
    """Edit the policy, see the effect of another, check or simulate one, or import one from another tool."""


@policy.command(epilog=examples("pushprune policy check policy.yaml", "pushprune policy check pushprune.yaml -o json"))
@click.argument("file", type=_FILE)
@output_options()
def check(file: Path, as_document: bool) -> None:
    """Check that FILE, a policy or a configuration that contains one, is valid; exit with 2 if not."""
    faults = faults_of(file)
    loaded = None if faults else load_policy_file(file)
    warnings = tuple(disabled.sentence for disabled in disabled_rules(loaded)) if loaded else ()
    if as_document:
        count = len(loaded.rules) if loaded else None
        show_document(PolicyCheck(file=str(file), valid=not faults, rules=count, faults=faults, warnings=warnings))
    else:
        for fault in faults:
            click.echo(f"pushprune: {fault}", err=True)
        for warning in warnings:
            click.echo(f"pushprune: warning: {file}: {warning}", err=True)
    if faults:
        sys.exit(_MISUSED)
    if loaded and not as_document:
        summary = f"valid, {spell_count(len(loaded.rules), 'rule')}" if loaded.rules else "no rule: nothing is deleted"
        line(f"{file}: {summary}")


@policy.command(name="schema", epilog=examples("pushprune policy schema"))
def show_schema() -> None:
    """Print the JSON Schema of a policy file, for editors and other tools."""
    show_document(schema())


policy.add_command(import_policy)
policy.add_command(simulate)
policy.add_command(diff)
policy.add_command(edit)
