"""`pushprune prune --approve`: lets a plan that waits go on, the one that somebody looked at."""

import sys
from collections.abc import Sequence

import click

from service.cli.show import line, when
from service.domain.errors import PushpruneError
from service.wiring import Wiring


class NothingHeld(PushpruneError):
    """No plan waits for approval, or another than the one named."""


def approve(wiring: Wiring, names: Sequence[str], plan: str | None, yes: bool) -> None:
    """Approves the waiting plan of each repository. plan: its name; without one somebody is asked, unless yes."""
    holds = wiring.history.holds(names)
    if not holds:
        raise NothingHeld("nothing waits for approval there; `pushprune prune --held` shows what does")
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
        images = wiring.history.approve(hold.repository, plan or hold.plan)
        if not images:
            raise NothingHeld(f"another plan for {hold.repository} waits by now; `pushprune prune --held` shows it")
        for name in wiring.outbox.mark_due([hold.repository]):
            wiring.dispatch.enforce(name)
        approved += images
    click.echo(f"approved: {_images(approved)}")


def _agreed(what: str) -> bool:
    """Whether somebody at the terminal wants it to go on."""
    line(what)
    return click.confirm("let it go?")


def _images(count: int) -> str:
    return f"{count} {'image' if count == 1 else 'images'}"
