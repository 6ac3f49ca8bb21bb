"""`pushprune demo`: show pushprune at work, on a registry of its own."""

import click


@click.command()
@click.option("--once", is_flag=True, help="End after the story: 0 only if everything is as the policy says.")
def demo(once: bool) -> None:
    """Start a registry of its own, push a story, show tag by tag what stays and what went and why, and collect.

    The registry's binary is the one PUSHPRUNE_REGISTRY_BIN names, `registry` or `docker-registry` on PATH, or the
    Debian package docker-registry, fetched into the user's cache.
    """
    from rich.console import Console

    from service.local.demo import demo as play

    console = Console(highlight=False)
    play(console if console.is_terminal else Console(highlight=False, width=120), once=once)
