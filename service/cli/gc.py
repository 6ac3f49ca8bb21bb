"""`pushprune gc`: have a garbage collection made, and see how the last ones went."""

import time
from dataclasses import asdict
from pathlib import Path

import click

from service.cli.reach import reach, reaching, show_json
from service.cli.show import size, table, when
from service.domain.collection import Run
from service.domain.errors import CollectionFailed, ConfigurationError
from service.wiring import Wiring


@click.command()
@reaching
@click.option("--now", is_flag=True, help="Have one made now, and wait for its end.")
@click.option("--status", is_flag=True, help="Show the last runs (what happens without an option, too).")
@click.option("--open", "open_gate", is_flag=True, help="Open the gate that a lost machine left closed.")
@click.option("--yes", is_flag=True, help="Do not ask (--open).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gc(
    config: Path | None, data: Path | None, now: bool, status: bool, open_gate: bool, yes: bool, as_json: bool
) -> None:
    """Collect the garbage of the registry: never two at once, never beside a delete of ours."""
    if now + status + open_gate > 1:
        raise click.UsageError("only one of --now, --status and --open")
    wiring = reach(config, data)
    if open_gate:
        _open(wiring, yes)
        return
    runs = (_collect(wiring),) if now else wiring.garbage.runs()
    if as_json:
        show_json([asdict(run) for run in runs])
    else:
        rows = [
            (when(run.started_ms * 1000), run.result, f"{(run.ended_ms - run.started_ms) / 1000:.1f} s", str(run.blobs),
             size(run.bytes_freed), run.reason, run.message)
            for run in runs
        ]  # fmt: skip
        table(("started", "result", "took", "blobs", "freed", "wanted because", ""), rows)
    if now and runs[0].result != "done":
        raise CollectionFailed(runs[0].message)


def _open(wiring: Wiring, yes: bool) -> None:
    """Workers open the gate once they have proved that the collector is dead. A machine that is lost proves nothing."""
    held = wiring.gate.standing()
    if held is None:
        click.echo("the gate is open")
        return
    click.echo(f"the gate is {held.state} since {when(held.since_ms * 1000)}: {held.reason}")
    if not yes:
        click.confirm("Is it certain that its garbage-collect runs no more? If it does, images will break", abort=True)
    wiring.gate.open(held.token)
    wiring.outbox.mended("gate")
    click.echo("the gate is open")


def _collect(wiring: Wiring) -> Run:
    if wiring.collector is None:
        raise ConfigurationError("gc.command is not set: set it to the registry's garbage-collect command")
    if wiring.outbox.workers() == 0:
        raise CollectionFailed("no worker is running that could collect: start one")
    asked_ms = time.time_ns() // 1_000_000
    wiring.garbage.request("asked for by hand")
    wiring.dispatch.collect()
    while not (new := [run for run in wiring.garbage.runs(5) if run.started_ms >= asked_ms]):
        time.sleep(0.1)
    return new[-1]
