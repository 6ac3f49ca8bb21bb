"""`pushprune policy check FILE`: whether a policy can be obeyed."""

from pathlib import Path

import click

from service.settings import load_policy, load_settings
from service.settings.document import read_document


@click.group()
def policy() -> None:
    """Check a policy before it is put in force."""


@policy.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say whether FILE, a policy or a configuration that holds one, can be obeyed; exit with 2 when not."""
    found = load_settings(file, environ={}).policy if _is_configuration(file) else load_policy(file)
    policy = load_policy(found) if isinstance(found, Path) else found
    rules = policy.rules if policy else ()
    said = f"{len(rules)} {'rule' if len(rules) == 1 else 'rules'}, understood" if rules else "no rule: nothing goes"
    click.echo(f"{file}: {said}")


def _is_configuration(file: Path) -> bool:
    return "policy" in read_document(file).values
