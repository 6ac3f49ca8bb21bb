"""`pushprune demo`: show pushprune at work, on a registry of its own."""

import click

from service.cli.command import examples


@click.command(
    epilog=examples(
        "pushprune demo",
        "pushprune demo --once",
    ),
)
@click.option("--once", is_flag=True, help="Exit after the demo; status 0 if the result matches the policy.")
def demo(once: bool) -> None:
    """Start a registry, push images, show which tags were kept or deleted and why, and collect garbage.

    The registry's binary is PUSHPRUNE_REGISTRY_BIN, or `registry` or `docker-registry` on PATH, or the Debian package
    docker-registry, which is downloaded into the user's cache.
    """
    from rich.console import Console

    from service.local.demo import demo as play

    console = Console(highlight=False)
    # Without a terminal, rich assumes 80 columns and would fold the reasons.
    play(console if console.is_terminal else Console(highlight=False, width=120), once=once)
