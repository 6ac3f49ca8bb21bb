"""`pushprune reconcile [REPO…]`: compare the history with the registry, and show the progress or the last result."""

import sys
import time
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from service.answers.operations import LastReconcile, Reconciliation
from service.cli.command import examples
from service.cli.connect import connect, connection_options, matching_repositories
from service.cli.names import parse_repositories
from service.cli.output import line, output_options, show_document, when
from service.domain.errors import NoSuchRepository, RegistryRefused
from service.domain.history.reconciliation import NAME_THEM, ReconcileResult, ReconcileRun
from service.domain.policy.units import spell_count
from service.domain.retention.selector import is_glob
from service.reconcile.status import ReconcileStatus, now_ms, overview, progress, request_reconcile, trouble
from service.store import Store

_POLL_S = 0.1


@click.command(
    epilog=examples(
        "pushprune reconcile shop/api",
        "pushprune reconcile --status",
    ),
)
@click.argument("repositories", nargs=-1, metavar="[REPO]...")
@connection_options
@click.option(
    "--status",
    is_flag=True,
    help="Show the current and the next comparison, and the result of the last; compare nothing.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for the end.")
@output_options()
def reconcile(
    repositories: tuple[str, ...],
    config: Path | None,
    data: Path | None,
    status: bool,
    no_wait: bool,
    as_document: bool,
) -> None:
    """Compare each REPO (all if none is named; or globs) with the registry, and update the history.

    Unknown and moved tags are added to the history, missing tags are removed from it. The registry is not changed.
    """
    if status and (repositories or no_wait):
        raise click.UsageError("--status compares nothing: leave REPO and --no-wait out")
    named = tuple(map(parse_repositories, repositories))
    wiring = connect(config, data)
    if status:
        _show_overview(overview(wiring.store, wiring.registry, wiring.settings), as_document)
        return
    # Only globs are looked up in the history: a repository that is named in full may be new and unknown so far.
    globs = tuple(filter(is_glob, named))
    repositories = tuple(
        dict.fromkeys((*(name for name in named if name not in globs), *matching_repositories(wiring.inventory, globs)))
    )
    asked_ms = now_ms(wiring.store)
    reason = request_reconcile(wiring.store, wiring.registry, wiring.dispatch, repositories)
    if no_wait:
        click.echo("requested; `pushprune reconcile --status` shows the progress")
        return
    last = _awaited(wiring.store, repositories, reason, asked_ms, tells=not as_document)
    _show_last(last, as_document)
    if last.failed or not last.repositories:
        raise RegistryRefused(last.message or trouble(wiring.store) or "there is no repository to compare")
    if last.catalog and not wiring.registry.named:
        raise RegistryRefused(f"not everything was compared: {NAME_THEM}")
    nowhere = [name for name in repositories if not wiring.inventory.is_known(name)]
    if nowhere:
        raise NoSuchRepository(f"neither the registry nor the history has a tag of {', '.join(nowhere)}")


def _awaited(
    store: Store, repositories: tuple[str, ...], reason: str, asked_ms: int, *, tells: bool
) -> ReconcileResult:
    """Wait for the end of the requested reconcile run, and return its result. A terminal shows the progress."""
    shown_message = ""
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True, disable=not (tells and sys.stdout.isatty())) as bars:
        bar = bars.add_task("repositories", total=None)
        while True:
            now = progress(store, repositories, reason, asked_ms)
            if now.ended:
                return now.ended
            under = now.running
            if under and under.message not in ("", shown_message):
                shown_message = under.message
                click.echo(f"the comparison waits: {shown_message}", err=True)
            if under:
                done = under.repositories + under.failed
                total = done + under.todo if under.listed else None
                bars.update(bar, completed=done, total=total, description=f"repositories, {under.tags} tags")
            if not now.has_worker:
                raise RegistryRefused("no worker is running: start one, and the comparison runs then")
            time.sleep(_POLL_S)


def _show_overview(status: ReconcileStatus, as_document: bool) -> None:
    if as_document:
        show_document(Reconciliation.model_validate(status))
        return
    if status.running:
        line(f"running ({status.running.reason}): {_at(status.running)}")
        if status.running.message:
            line(f"the last failure: {status.running.message}")
    elif status.queued:
        line(f"queued: {status.queued}")
    if status.next_ms:
        line(f"next by the schedule: {when(status.next_ms * 1000)}")
    if status.last:
        _show_last(status.last, as_document=False)
    elif not status.running:
        line("nothing was compared yet")


def _show_last(last: ReconcileResult, as_document: bool) -> None:
    if as_document:
        show_document(LastReconcile.model_validate(last))
        return
    took = f"{last.took_ms / 1000:.1f} s"
    differed = f"{spell_count(last.changed, 'tag')} differed"
    line(f"{when(last.at_ms * 1000)} ({last.reason}): {_repositories(last)} compared in {took}, {differed}")
    if last.catalog:
        line(last.catalog)
    if last.failed:
        line(f"not compared: {spell_count(last.failed, 'repository')}, the last: {last.message}")


def _at(under: ReconcileRun) -> str:
    remaining = f"{under.todo} left" if under.listed else "reading the catalog"
    return f"{_repositories(under)} compared, {spell_count(under.changed, 'tag')} differed, {remaining}"


def _repositories(run: ReconcileRun | ReconcileResult) -> str:
    return f"{spell_count(run.repositories, 'repository')} with {spell_count(run.tags, 'tag')}"
