"""`pushprune sign-in`: a one-time link to the dashboard."""

from pathlib import Path
from urllib.parse import urlsplit

import click

from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.local.ports import reached
from service.local.sign_in import sign_in_link


@click.command(
    "sign-in",
    epilog=examples(
        "pushprune sign-in",
        "pushprune sign-in --web https://pushprune.example.com",
    ),
)
@connection_options
@click.option("--web", metavar="URL", help="The address of the dashboard, as your browser reaches it [from `listen`].")
def sign_in(config: Path | None, data: Path | None, web: str | None) -> None:
    """Print a link that signs you in to the dashboard, with the right to make changes.

    The link works once, within 15 minutes.
    """
    if web is not None and (urlsplit(web).scheme not in ("http", "https") or not urlsplit(web).hostname):
        raise click.UsageError(f"--web {web[:200]!r} must look like https://pushprune.example.com")
    wiring = connect(config, data)
    settings = wiring.settings
    click.echo(sign_in_link(wiring.store, settings, web or reached(settings.listen) + settings.web.prefix))
