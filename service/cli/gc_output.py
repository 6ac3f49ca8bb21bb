"""The output of `pushprune gc`: collections, the garbage, and the progress of a running collection."""

import sys
from collections.abc import Iterable

import click

from service.answers.operations import CollectionOverview
from service.cli.output import line, short_digest, show_document, table, when
from service.collect.status import CollectionStatus, permanent
from service.domain.collection.garbage import Garbage
from service.domain.collection.run import UNDELETION, CollectionStage, Rehearsal, Run
from service.domain.policy.units import spell_count, spell_size

_LISTED, _LARGEST = 50, 10


def show_overview(status: CollectionStatus, as_document: bool) -> None:
    """Print the running or queued collection, the gate, the next collection, the garbage, and the last runs."""
    if as_document:
        show_document(CollectionOverview.model_validate(status))
        return
    if status.running:
        running = status.running
        line(f"running ({running.reason}): {running.stage}{spell_progress(running)}")
    elif status.queued:
        kept = f"; waiting: {status.postponed.message} (tried {status.postponed.times}×)" if status.postponed else ""
        line(f"queued: {status.queued}{kept}")
        line(f"then {permanent(status.permanent)}; cancel it with: pushprune gc --cancel")
    if status.gate:
        only = "; only requests that name a blob which is being deleted wait" if status.gate.state == "claiming" else ""
        since = when(status.gate.since_ms * 1000)
        line(f"the gate has been {status.gate.state} since {since}: {status.gate.reason}{only}")
    if status.next_ms:
        line(f"next by the schedule: {when(status.next_ms * 1000)}")
    show_garbage(status.garbage)
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


def show_run(run: Run, rehearsal: Rehearsal | None) -> None:
    """Print the result of a collection, or of a dry run with the blobs that a collection would delete."""
    took = f"{(run.ended_ms - run.started_ms) / 1000:.1f} s"
    if rehearsal is not None:
        largest = sorted(rehearsal.blobs, key=lambda blob: -(blob[1] or 0))[:_LARGEST]
        if largest:
            table(("would be deleted", "size"), ((short_digest(digest), spell_size(size)) for digest, size in largest))
        listed = f"; the {_LARGEST} largest are listed" if run.blobs > _LARGEST else ""
        blobs = spell_count(run.blobs, "blob")
        line(f"a collection would delete {blobs} and free {_freed(run)}{listed}; nothing was deleted ({took})")
        return
    if run.result == UNDELETION:
        for sentence in run.note.split("; "):
            line(sentence)
        return
    # A run that ended before it marked has counted nothing: "0 blobs in use" would frighten.
    counts = f": {run.marked} blobs in use, {run.blobs} blobs deleted, {_freed(run)} freed"
    line(f"{run.result} in {took}{counts if run.marked or run.blobs or run.result == 'done' else ''}")
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


def show_garbage(known: Garbage | None) -> None:
    """Print the garbage by repository and by age, and when it was measured: a later collection may have deleted it."""
    if known and (known.repositories or known.steps or known.leftovers):
        line(f"measured {when(known.at_ms * 1000)}:")
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


def show_stage(stage: CollectionStage, before: str) -> str:
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
