"""`pushprune up`: the whole system in this terminal."""

from pathlib import Path

import click

from service.cli.command import RegistryAddress, examples


def _address(_: click.Context, __: click.Parameter, listen: str | None) -> str | None:
    """Return the address. Raises BadParameter if it is not valid."""
    from service.settings.kinds import listen_host

    if listen is not None:
        try:
            listen_host(listen)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return listen


@click.command(
    epilog=examples(
        "pushprune up --registry http://127.0.0.1:5000 --keep-last 10",
        "pushprune up --config pushprune.yaml",
    ),
)
@click.option(
    "--registry",
    metavar="URL",
    type=RegistryAddress(),
    help="The registry to keep small, http://… or https://….",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=_address,
    help="The address of the web process, for notifications and browsers [127.0.0.1:8080].",
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of tokens and history, used again at the next start [./pushprune-data].",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings and policy, as YAML.",
)
@click.option(
    "--keep-last", metavar="N", type=click.IntRange(min=1), help="Keep the last N images of every repository."
)
@click.option(
    "--yes", is_flag=True, help="With --keep-last: do not wait for an approval at the first clean-up of a repository."
)
def up(
    registry: str | None, listen: str | None, data: Path | None, config: Path | None, keep_last: int | None, yes: bool
) -> None:
    """Run web, worker and, unless redis.url is set, an embedded Redis, until Ctrl-C.

    Everything is kept in DIR: a second start continues there. With --keep-last, `latest` is protected.
    """
    if yes and not keep_last:
        raise click.UsageError("--yes belongs to --keep-last; in a policy of your own write `first_plan: apply`")
    from service.local.transcript import Transcript
    from service.local.up import SPEAKERS, UpOptions
    from service.local.up import up as run

    run(UpOptions(registry, listen, data, config, keep_last, applies_first_plan=yes), Transcript(speakers=SPEAKERS))
