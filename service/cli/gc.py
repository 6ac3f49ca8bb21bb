"""`pushprune gc`: start a garbage collection or a dry run, show the last runs and the time of the next."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from service.answers.operations import CollectionLog, CollectionOverview, CollectionRun, StorageGarbage
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.output import line, output_options, short_digest, show_document, table, when
from service.collect import status as collection
from service.collect.garbage import garbage
from service.collect.status import (
    CollectionStatus,
    RecordedRun,
    at_stake,
    overview,
    permanent,
    progress,
    request_collection,
    request_undeletion,
)
from service.collect.status import cancel as cancel_queued
from service.domain.collection.garbage import Garbage
from service.domain.collection.run import DRY_RUN, UNDELETION, CollectionStage, Rehearsal, Run
from service.domain.errors import CollectionFailed
from service.domain.policy.units import parse_duration, spell_size
from service.settings.sections import GcSettings
from service.store import Store

_POLL_S = 0.1
_LISTED = 50


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
    help="With --now, for a full disk: delete for good what was unlinked or deleted this long ago (15m at least).",
)
@click.option(
    "--undelete", is_flag=True, help="Bring back from quarantine what manifests need and do not have, or these digests."
)
@click.argument("digests", metavar="[DIGEST]...", nargs=-1)
@click.option("--cancel", is_flag=True, help="Cancel the collection that is queued.")
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
@click.option("--yes", is_flag=True, help="Do not ask (--open).")
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
    yes: bool,
    as_document: bool,
) -> None:
    """Show the last garbage collections of the registry, or run one. Without an option, nothing is run.

    Collections run one at a time, and never beside deletions by pushprune.
    """
    if dry_run + now + undelete + cancel + log + status + open_gate > 1:
        raise click.UsageError("give one of --dry-run, --now, --undelete, --cancel, --log, --status and --open")
    if digests and not undelete:
        raise click.UsageError("digests are for --undelete only")
    if grace is not None and not now:
        raise click.UsageError("--grace is for --now only")
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
    if not (now or dry_run or undelete):
        _show_overview(overview(wiring.store, wiring.registry, wiring.settings.gc), as_document)
        if wiring.registry.collector is None and not as_document:
            line("garbage collection is not configured: set gc.command, or gc.collector: online")
        return
    asked_ms = time.time_ns() // 1_000_000
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
        _show_garbage(known)
        _show_run(run, rehearsal)
    if run.result == "postponed" and is_queued:
        raise CollectionFailed(f"{run.message}; {_queued(wiring.store, wiring.settings.gc)}")
    if run.result not in ("done", DRY_RUN, UNDELETION):
        raise CollectionFailed(run.message)


def _show_log(run: RecordedRun | None, as_document: bool) -> None:
    if run is None:
        raise CollectionFailed("no collection has an output that is still kept")
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
    """Open the gate by hand, after a worker's machine was lost during a collection.

    Workers open the gate themselves once they have proved that the collector is dead. A lost machine proves nothing:
    only the operator can know that the collector no longer runs there.
    """
    gate = collection.gate_state(store)
    if gate is None:
        click.echo("the gate is open")
        return
    click.echo(f"the gate is {gate.state} since {when(gate.since_ms * 1000)}: {gate.reason}")
    if not yes:
        click.confirm(
            "Is it certain that this collection no longer runs? If it still deletes blobs, images will be corrupted",
            abort=True,
        )
    collection.open_gate(store, gate.token)
    click.echo("the gate is open")


def _period(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--grace: {error}") from error


def _announce(store: Store, gc_settings: GcSettings) -> None:
    """Tell the consequences of a collection on standard error."""
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
            shown_stage = _tell(now.stage, shown_stage)
        time.sleep(_POLL_S)
    if sys.stderr.isatty() and tells and shown_stage:
        click.echo(err=True)
    return now.ended, now.is_queued


def _tell(stage: CollectionStage, before: str) -> str:
    """Print the progress of a stage on standard error: on a terminal its share, else once. Returns what was printed.

    Args:
        stage: of the running collection.
        before: what was printed last.
    """
    is_terminal = sys.stderr.isatty()
    text = f"{stage.stage}…" + (spell_progress(stage) if is_terminal else "")
    if text != before:
        click.echo(f"\r\x1b[K{text}" if is_terminal else text, nl=not is_terminal, err=True)
    return text


def spell_progress(stage: CollectionStage) -> str:
    """Return the share of a stage that is done, with a bar; "" if nothing of it is known."""
    if stage.percent is None:
        return f" {stage.done:,}" if stage.done else ""
    bar = "#" * (stage.percent // 5)
    sizes = f", {spell_size(stage.done_bytes)} of {spell_size(stage.total_bytes)}" if stage.total_bytes else ""
    return f" [{bar:<20}] {stage.percent} % ({stage.done:,} of {stage.total:,}{sizes})"


def _show_overview(status: CollectionStatus, as_document: bool) -> None:
    if as_document:
        show_document(CollectionOverview.model_validate(status))
        return
    if status.running:
        running = status.running
        line(f"running: {running.stage}{spell_progress(running)}, because {running.reason}")
    elif status.queued:
        kept = f"; waiting: {status.postponed.message} (tried {status.postponed.times}×)" if status.postponed else ""
        line(f"queued: {status.queued}{kept}")
        line(f"then {permanent(status.permanent)}; cancel it with: pushprune gc --cancel")
    if status.gate:
        only = "; only requests that name a blob which is being deleted wait" if status.gate.state == "claiming" else ""
        line(f"the gate is {status.gate.state} since {when(status.gate.since_ms * 1000)}: {status.gate.reason}{only}")
    if status.next_ms:
        line(f"next by the schedule: {when(status.next_ms * 1000)}")
    _show_garbage(status.garbage)
    _show_runs(status.runs)


def _show_runs(runs: Iterable[Run]) -> None:
    rows = [
        (when(run.started_ms * 1000), run.result, f"{(run.ended_ms - run.started_ms) / 1000:.1f} s", str(run.blobs),
         _freed(run), run.reason, "; ".join(filter(None, (run.message, run.note))))
        for run in runs
    ]  # fmt: skip
    if not rows:
        line("no collection has run yet")
        return
    table(("started", "result", "took", "blobs", "freed", "reason", "remark"), rows)


def _show_run(run: Run, rehearsal: Rehearsal | None) -> None:
    took = f"{(run.ended_ms - run.started_ms) / 1000:.1f} s"
    if rehearsal is not None:
        largest = sorted(rehearsal.blobs, key=lambda blob: -(blob[1] or 0))[:_LISTED]
        if largest:
            table(("would be deleted", "size"), ((short_digest(digest), spell_size(size)) for digest, size in largest))
        listed = f"; the {_LISTED} largest are listed" if run.blobs > _LISTED else ""
        blobs = f"{run.blobs:,} {'blob' if run.blobs == 1 else 'blobs'}"
        line(f"a collection would delete {blobs} and free {_freed(run)}{listed}; nothing was deleted ({took})")
        return
    if run.result == UNDELETION:
        for sentence in run.note.split("; "):
            line(sentence)
        return
    line(f"{run.result} in {took}: {run.marked} blobs in use, {run.blobs} blobs deleted, {_freed(run)} freed")
    if run.final:
        line(f"deletions that can no longer be undone: {run.final}")
    if run.checked:
        line(f"manifests pushed meanwhile, checked blob by blob: {run.checked}")
    if run.unlinked:
        line(f"blobs unlinked, whose data is deleted after gc.grace: {run.unlinked}")
    if run.quarantined and run.quarantined_until_ms:
        until = when(run.quarantined_until_ms * 1000)
        size = spell_size(run.quarantined_bytes)
        line(f"in quarantine until {until}: {run.quarantined} blobs, {size}; bring back with pushprune gc --undelete")
    if run.held_ms:
        line(f"requests that name one of these blobs waited for {run.held_ms / 1000:.2f} s at most")
    if run.closed_ms:
        line(f"the gate was closed for {run.closed_ms / 1000:.1f} s")
    if run.note:
        line(run.note)


def _show_garbage(known: Garbage | None) -> None:
    """Print the garbage by repository and by age."""
    if known and known.repositories:
        shares = known.repositories[:_LISTED]
        rows = [
            (share.repository or "no repository any more", f"{share.blobs:,}", spell_size(share.size_bytes))
            for share in shares
        ]
        table(("garbage of", "blobs", "size"), rows)
        line("")
    if known and known.steps:
        steps = [
            (step.stage, when(step.since_ms * 1000) if step.since_ms else "now", f"{step.blobs:,}",
             spell_size(step.size_bytes), when((step.freed_ms or 0) * 1000))
            for step in known.steps[:_LISTED]
        ]  # fmt: skip
        table(("garbage", "since", "blobs", "size", "free, at the earliest"), steps)
        line("")
    if known and known.leftovers:
        leftovers = [
            (each.kind, each.repository, f"{each.count:,}", spell_size(each.size_bytes) if each.size_bytes else "",
             when(each.since_ms * 1000) if each.since_ms else "")
            for each in known.leftovers[:_LISTED]
        ]  # fmt: skip
        table(("leftover", "repository", "number", "size", "last write"), leftovers)
        line("")


def _freed(run: Run) -> str:
    at_least = "at least " if run.unsized and run.bytes_freed is not None else ""
    return at_least + spell_size(run.bytes_freed)
