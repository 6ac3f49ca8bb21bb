"""`pushprune prune --approve`: lets a plan that waits go on, the one that somebody looked at."""

import sys
from collections.abc import Sequence

import click

from service import holding
from service.cli.show import line, when
from service.cli.who import login_name
from service.domain.errors import NotWaiting
from service.wiring import Wiring


def approve(wiring: Wiring, names: Sequence[str], plan: str | None, yes: bool) -> None:
    """Approves the waiting plan of each repository. plan: its name; without one somebody is asked, unless yes."""
    holds = wiring.history.holds(names)
    if not holds:
        raise NotWaiting("nothing waits for approval there; `pushprune prune --held` shows what does")
    if plan is None and not yes and not sys.stdin.isatty():
        raise click.UsageError(
            f"say which plan: --plan {holds[0].plan} for what `pushprune prune --held` shows of {holds[0].repository}, "
            "or --yes for whichever waits"
        )
    approved = 0
    for hold in holds:
        waits = f"waiting since {when(hold.at_us)}: {hold.reason} (plan {hold.plan})"
        if not (plan or yes or _agreed(f"{hold.repository}: {_images(len(hold.digests))}, {waits}")):
            continue
        try:
            approved += holding.approve(wiring, hold.repository, plan or hold.plan, by=login_name())
        except NotWaiting as error:
            told = f"another plan for {hold.repository} waits by now; `pushprune prune --held` shows it"
            raise NotWaiting(told) from error
    click.echo(f"approved: {_images(approved)}")


def _agreed(what: str) -> bool:
    """Whether somebody at the terminal wants it to go on."""
    line(what)
    return click.confirm("let it go?")


def _images(count: int) -> str:
    return f"{count} {'image' if count == 1 else 'images'}"
