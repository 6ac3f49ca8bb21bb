"""`pushprune config …`: check the configuration, show the effective settings, print the schema, copy the examples."""

import shutil
import sys
from pathlib import Path

import click
import yaml

import service
from service.cli.command import VerbGroup, examples
from service.cli.connect import connection_options
from service.cli.output import line, output_options, show_document
from service.domain.errors import ConfigurationError
from service.local.environment import running_settings
from service.settings import load_settings, setting_faults
from service.settings.masking import masked
from service.settings.schema import schema

# The wheel has the folder config/ of the repository as a part of this package.
_EXAMPLES = (Path(service.__file__).parent / "examples", Path(service.__file__).parents[1] / "config")
_FILE = click.Path(dir_okay=False, path_type=Path)
_MISUSED = 2


@click.group(cls=VerbGroup, epilog=examples("pushprune config check pushprune.yaml"))
def config() -> None:
    """Check the configuration, show the effective settings, print their schema, or copy the examples."""


@config.command(epilog=examples("pushprune config check pushprune.yaml"))
@click.argument("file", type=_FILE)
def check(file: Path) -> None:
    """Check FILE, the policy and secret files that it names, and the environment; exit with 2 if one is not valid.

    All errors are reported at once.
    """
    if faults := setting_faults(file):
        for fault in faults:
            click.echo(f"pushprune: {fault}", err=True)
        sys.exit(_MISUSED)
    line(f"{file}: valid")


@config.command(epilog=examples("pushprune config show", "pushprune config show --config pushprune.yaml -o yaml"))
@connection_options
@output_options()
def show(config: Path | None, data: Path | None, as_document: bool) -> None:
    """Show the effective settings, from file, environment and defaults, with the secrets masked."""
    settings = running_settings(config, data) or load_settings(config)
    values = masked(settings.model_dump(mode="json", exclude_none=True))
    if as_document:
        show_document(values)
    else:
        # Only ASCII, so that a control character in a value cannot reach the terminal.
        click.echo(yaml.safe_dump(values, sort_keys=False, width=110), nl=False)


@config.command(name="schema", epilog=examples("pushprune config schema"))
def show_schema() -> None:
    """Print the JSON Schema of the configuration, for editors and other tools."""
    show_document(schema())


@config.command(name="examples", epilog=examples("pushprune config examples /etc/pushprune/examples"))
@click.argument("folder", type=click.Path(path_type=Path))
def copy_examples(folder: Path) -> None:
    """Copy the examples to FOLDER: configuration, nginx, systemd, Kubernetes, Prometheus, Grafana."""
    source = next((path for path in _EXAMPLES if path.is_dir()), None)
    if source is None:
        raise ConfigurationError(
            "this installation (or this image) has no examples: take config/ of the repository or of the sdist"
        )
    if folder.exists():
        raise ConfigurationError(f"{folder} exists: name a new folder, so that no file of yours is replaced")
    shutil.copytree(source, folder)
    line(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
