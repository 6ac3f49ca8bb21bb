"""`pushprune gc`: start a garbage collection or a dry run, show the last runs and the time of the next."""

import sys
import time
from pathlib import Path

import click

from service.answers.operations import CollectionLog, CollectionRun, StorageGarbage
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.gc_output import show_garbage, show_overview, show_run, show_stage
from service.cli.output import line, output_options, show_document, when
from service.clock import now_ms
from service.collect import gate_processes
from service.collect import status as collection
from service.collect.garbage import garbage
from service.collect.status import (
    RecordedRun,
    at_stake,
    overview,
    permanent,
    progress,
    request_collection,
    request_undeletion,
)
from service.collect.status import cancel as cancel_queued
from service.domain.collection.run import DRY_RUN, UNDELETION, Run
from service.domain.errors import CollectionFailed
from service.domain.policy.units import parse_duration
from service.settings.gc import GcSettings
from service.store import Store

_POLL_S = 0.1


@click.command(
    epilog=examples(
        "pushprune gc",
        "pushprune gc --dry-run",
        "pushprune gc --now",
        "pushprune gc --now --grace 15m",
        "pushprune gc --undelete",
        "pushprune gc --log > collection.log",
    ),
)
@connection_options
@click.option("--dry-run", is_flag=True, help="Show which blobs a collection would delete; nothing is deleted.")
@click.option(
    "--now", is_flag=True, help="Run a collection now, ignoring gc.window and gc.min_interval, and wait for it."
)
@click.option(
    "--grace",
    metavar="PERIOD",
    help="With --now and online collections, for a full disk: delete for good what was unlinked or deleted this long "
    "ago (15m at least).",
)
@click.option(
    "--undelete", is_flag=True, help="Bring back from quarantine what manifests need and do not have, or these digests."
)
@click.argument("digests", metavar="[DIGEST]...", nargs=-1)
@click.option(
    "--cancel", is_flag=True, help="Cancel the queued or running collection, unless it has begun to delete blobs."
)
@click.option("--log", is_flag=True, help="Print the whole output of the last collection.")
@click.option(
    "--status",
    is_flag=True,
    help="Show the current, the queued and the next collection, and the last runs (the default).",
)
@click.option(
    "--open",
    "open_gate",
    is_flag=True,
    help="Open the write gate if it stayed closed because the machine of a collection is lost for good.",
)
@click.option(
    "--forget-gates",
    is_flag=True,
    help="Let collections no longer wait for gate processes that were killed, or lost with their machine.",
)
@click.option("--yes", is_flag=True, help="Do not ask (--open, --forget-gates).")
@output_options()
def gc(
    config: Path | None,
    data: Path | None,
    dry_run: bool,
    now: bool,
    grace: str | None,
    undelete: bool,
    digests: tuple[str, ...],
    cancel: bool,
    log: bool,
    status: bool,
    open_gate: bool,
    forget_gates: bool,
    yes: bool,
    as_document: bool,
) -> None:
    """Show the last garbage collections of the registry, or run one. Without an option, nothing is run.

    Collections run one at a time, and never beside deletions by pushprune.
    """
    if dry_run + now + undelete + cancel + log + status + open_gate + forget_gates > 1:
        raise click.UsageError(
            "give only one of --dry-run, --now, --undelete, --cancel, --log, --status, --open and --forget-gates"
        )
    if digests and not undelete:
        raise click.UsageError("digests can only be given with --undelete")
    if grace is not None and not now:
        raise click.UsageError("--grace can only be given with --now")
    grace_s = _period(grace) if grace is not None else None
    wiring = connect(config, data)
    if cancel:
        line(f"cancelled: {cancel_queued(wiring.store)}")
        return
    if log:
        _show_log(collection.latest_recorded(wiring.store), as_document)
        return
    if open_gate:
        _open(wiring.store, yes)
        return
    if forget_gates:
        _forget_gates(wiring.store, yes)
        return
    if not (now or dry_run or undelete):
        show_overview(overview(wiring.store, wiring.registry, wiring.settings.gc), as_document)
        if wiring.registry.collector is None and not as_document:
            line("garbage collection is not configured: set gc.command, or gc.collector: online, in the configuration")
        return
    asked_ms = now_ms()
    if undelete:
        reason = request_undeletion(wiring.store, wiring.registry, wiring.dispatch, digests)
    else:
        reason = request_collection(wiring.store, wiring.registry, wiring.dispatch, dry_run=dry_run, grace_s=grace_s)
    if now and not as_document:
        _announce(wiring.store, wiring.settings.gc)
    run, is_queued = _ended(wiring.store, reason, asked_ms, tells=not as_document)
    rehearsal = collection.rehearsal(wiring.store) if run.result == DRY_RUN else None
    known = garbage(wiring.store, wiring.settings.gc) if rehearsal else None
    if as_document:
        document = CollectionRun.model_validate(run)
        if rehearsal:
            seen = StorageGarbage.model_validate(known) if known else None
            document = document.model_copy(update={"would_delete": dict(rehearsal.blobs), "garbage": seen})
        show_document(document)
    else:
        show_garbage(known)
        show_run(run, rehearsal)
    if run.result == "postponed" and is_queued:
        raise CollectionFailed(f"{run.message}; {_queued(wiring.store, wiring.settings.gc)}")
    if run.result not in ("done", DRY_RUN, UNDELETION):
        raise CollectionFailed(run.message)


def _show_log(run: RecordedRun | None, as_document: bool) -> None:
    if run is None:
        raise CollectionFailed("no output of a collection is kept; `pushprune gc` lists the last runs")
    if as_document:
        show_document(CollectionLog.model_validate({"started_at": run.run.started_ms, "lines": run.lines()}))
        return
    for text in run.lines():
        line(text)


def _queued(store: Store, gc_settings: GcSettings) -> str:
    """Return the sentence on a collection that was postponed."""
    final = permanent(at_stake(store, gc_settings))
    return f"it stays queued and is retried; then {final}: `pushprune gc --cancel` cancels it"


def _open(store: Store, yes: bool) -> None:
    """Open the gate at the request of the operator, after a worker's machine was lost during a collection.

    Workers open the gate themselves once they have proved that the collector is dead. A lost machine proves nothing:
    only the operator can know that the collector no longer runs there.
    """
    gate = collection.gate_state(store)
    if gate is None:
        click.echo("the gate is open")
        return
    click.echo(f"the gate has been {gate.state} since {when(gate.since_ms * 1000)}: {gate.reason}")
    if not yes:
        click.confirm(
            "Is it certain that this collection no longer runs? If it still deletes blobs, images will be corrupted",
            abort=True,
        )
    collection.open_gate(store, gate.token)
    click.echo("the gate is open")


def _forget_gates(store: Store, yes: bool) -> None:
    """Forget the silent gate processes, which only the operator can know to have ended."""
    gates = gate_processes.silent(store)
    if not gates:
        click.echo("no gate process has been silent for 30 s: there is none to forget")
        return
    for gate in gates:
        seen, until = when(gate.seen_ms * 1000), when(gate.forgotten_ms * 1000)
        click.echo(f"the gate process on {gate.host} was last seen at {seen}; collections wait until {until}")
    if not yes:
        click.confirm(
            "Is it certain that these processes have ended? A process that is cut off from Redis may let pushes pass "
            "during a collection, which corrupts images",
            abort=True,
        )
    gate_processes.forget(store, gates)
    click.echo("forgotten: collections no longer wait for them")


def _period(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--grace: {error}") from error


def _announce(store: Store, gc_settings: GcSettings) -> None:
    if gc_settings.window or gc_settings.min_interval:
        click.echo("requested manually: gc.window and gc.min_interval are ignored", err=True)
    click.echo(f"afterwards {permanent(at_stake(store, gc_settings))}; `pushprune trash` lists them", err=True)


def _ended(store: Store, reason: str, asked_ms: int, *, tells: bool) -> tuple[Run, bool]:
    """Wait for the end of a requested run, and return it; also True if it is queued again.

    Args:
        reason: of the request.
        asked_ms: when it was requested.
        tells: print each stage of the run on standard error.
    """
    shown_stage = ""
    while (now := progress(store, reason, asked_ms)).ended is None:
        if now.stage is None and not now.has_worker:
            raise CollectionFailed("no worker is running: start one, and the collection runs then")
        if now.stage and tells:
            shown_stage = show_stage(now.stage, shown_stage)
        time.sleep(_POLL_S)
    if sys.stderr.isatty() and tells and shown_stage:
        click.echo(err=True)
    return now.ended, now.is_queued
