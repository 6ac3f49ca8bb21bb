"""`pushprune prune --approve`: lets a plan that waits go on, the one that somebody looked at."""

import sys
from collections.abc import Iterator, Sequence

import click

from service.cli.show import line, when
from service.domain.errors import PushpruneError
from service.store.hold import Hold
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
    for hold in holds if plan or yes else _agreed(holds):
        images = wiring.history.approve(hold.repository, plan or hold.plan)
        if not images:
            raise NothingHeld(f"another plan for {hold.repository} waits by now; `pushprune prune --held` shows it")
        for name in wiring.outbox.mark_due([hold.repository]):
            wiring.dispatch.enforce(name)
        approved += images
    click.echo(f"approved: {_images(approved)}")


def _agreed(holds: Sequence[Hold]) -> Iterator[Hold]:
    """Those that somebody at the terminal wants to go on."""
    for hold in holds:
        waits = f"waiting since {when(hold.at_us)}: {hold.reason}"
        line(f"{hold.repository}: {_images(len(hold.digests))}, {waits} (plan {hold.plan})")
        if click.confirm("let it go?"):
            yield hold


def _images(count: int) -> str:
    return f"{count} {'image' if count == 1 else 'images'}"
