"""`pushprune demo`: show pushprune at work, on a registry of its own."""

import click

from service.cli.command import examples


@click.command(
    epilog=examples(
        "pushprune demo",
        "pushprune demo --once",
        "pushprune demo --large",
    ),
)
@click.option("--once", is_flag=True, help="Exit after the demo; with 0 if the result matches the policy.")
@click.option("--large", is_flag=True, help="Show the dashboard of a busy company, without a registry.")
@click.option(
    "--repositories",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --large: the number of repositories [1000].",
)
def demo(once: bool, large: bool, repositories: int | None) -> None:
    """Start a registry, push images, show which tags were kept or deleted and why, and collect garbage.

    The registry's binary is PUSHPRUNE_REGISTRY_BIN, or `registry` or `docker-registry` on PATH, or the Debian package
    docker-registry, which is downloaded into the user's cache.

    With --large, the dashboard shows two weeks of a busy company, which are simulated in about a minute. No registry
    runs, and no image exists.
    """
    if repositories and not large:
        raise click.UsageError("--repositories needs --large")
    from rich.console import Console

    from service.local.demo import demo as play
    from service.local.demo_large import demo_large

    console = Console(highlight=False)
    # Without a terminal, rich assumes 80 columns and would fold the reasons.
    console = console if console.is_terminal else Console(highlight=False, width=120)
    if large:
        demo_large(console, repositories=repositories or 1000, once=once)
    else:
        play(console, once=once)
