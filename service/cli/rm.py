"""`pushprune rm REPO:TAG… | REPO@DIGEST… | --all-but TAG REPO…`: delete manually."""

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from service.answers.verdicts import ManualDeletionAnswer, VerdictAnswer
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.names import parse_wanted
from service.cli.output import line, output_options, short_digest, show_document, table, when
from service.cli.registry import (
    asked_registry,
    connect_v1,
    registry_option,
    restore_hint,
    trash_folder,
    trash_option,
    v1_option,
)
from service.cli.user import login_name
from service.cli.v1 import delete_v1_tags
from service.domain.errors import (
    ConfigurationError,
    NotDeletable,
    RegistryRefused,
    RegistryUnavailable,
    TrashUnwritable,
)
from service.domain.policy.model import Policy
from service.domain.policy.units import spell_count, spell_size
from service.domain.retention.plan import Verdict
from service.domain.retention.selector import TagSelector
from service.prune.deletion_request import DeletionRequest
from service.prune.manual import DeletionProgress, deletion_progress, not_deleted, request_deletions, resolve_requests
from service.store import Store

if TYPE_CHECKING:
    from service.local.one_off import OneOff

_POLL_S = 0.1
# A worker that is being restarted comes back within this time.
_NO_WORKER_S = 30


@click.command(
    epilog=examples(
        "pushprune rm shop/api:v7",
        "pushprune rm 'shop/*:pr-7-*' --dry-run",
        "pushprune rm --all-but latest shop/api",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="REPO:TAG|REPO@DIGEST|REPO...")
@connection_options
@registry_option
@v1_option
@click.option(
    "--all-but",
    "kept_tags",
    multiple=True,
    metavar="TAG",
    help="Delete every tag of each REPO except TAG, which may be a glob.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Delete also what the policy protects, and while dry_run is on.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is deleted.")
@trash_option
@output_options()
def rm(
    names: tuple[str, ...], config: Path | None, data: Path | None, kept_tags: tuple[str, ...], dry_run: bool,
    yes: bool, force: bool, no_wait: bool, trash: Path | None, as_document: bool,
) -> None:  # fmt: skip
    """Delete tags, or manifests with all of their tags, whatever the policy says. REPO and TAG may be globs.

    An image that another tag or an index needs is kept; only the tag is deleted. `pushprune restore` undoes a deletion.
    """
    wanted = [parse_wanted(name, kept_tags) for name in names]
    if no_wait and asked_registry():
        raise click.UsageError("--no-wait leaves the work to a service, and with --registry there is none")
    if not (dry_run or yes) and (as_document or not sys.stdin.isatty()):
        raise ConfigurationError("not a terminal: add --yes to delete, or --dry-run to preview")
    url = asked_registry()
    if trash and not url:
        raise click.UsageError("--trash needs --registry; a running service has a trash of its own (`pushprune trash`)")
    folder = trash_folder(url, trash) if url else None
    old = connect_v1(config)
    if old:
        delete_v1_tags(old, wanted, dry_run=dry_run, yes=yes, force=force, as_document=as_document)
        return
    once = _once(wanted, config, folder.path) if folder else None
    wiring = once.wiring if once else connect(config, data)
    planned = resolve_requests(wiring.store, wiring.registry, wiring.policies, wanted, force=force)
    if not as_document:
        _show(planned)
    if dry_run or not any(request.deletions for request in planned):
        if as_document:
            show_document(_answer(planned, requested=False))
        return
    if not yes:
        click.confirm("delete?", abort=True)
    # After the confirmation, so that a cancelled command leaves no empty folder.
    if folder:
        folder.prepare()
    asked = request_deletions(wiring.store, wiring.dispatch, wiring.verdicts, planned, login_name(), force=force)
    if no_wait:
        _show_requested(asked, as_document)
        return
    if once:
        _delete_once(once, asked)
    else:
        _wait(wiring.store, asked)
    _show_done(
        wiring.store,
        asked,
        as_document,
        restore_hint(folder.path) if folder else "`pushprune trash` lists what can be restored",
    )
    for remark in once.remarks if once else ():
        click.echo(f"pushprune: {remark}", err=True)


def _once(wanted: Sequence[TagSelector], config: Path | None, trash: Path) -> "OneOff":
    """Start a system for --registry, and compare the selected repositories."""
    # Imported here: the tasks and the local Redis would slow down every verb that does not need them.
    from service.cli.one_off import compare_once

    repositories = tuple(dict.fromkeys(selection.repository for selection in wanted))
    return compare_once(asked_registry() or "", config, Policy(), repositories, trash)


def _show(planned: Sequence[DeletionRequest]) -> None:
    deletions = [(request.repository, verdict) for request in planned for verdict in request.deletions]
    kept = [(request.repository, verdict) for request in planned for verdict in request.kept]
    if deletions:
        columns = ("to delete", "digest", "size", "pushed", "image is kept as")
        table(columns, (_row(repository, verdict) for repository, verdict in deletions))
        images = {(repository, v.tag.digest) for repository, v in deletions if not v.kept_as}
        tags = sum(1 for _, v in deletions if v.tag.name)
        line(f"{spell_count(tags, 'tag')}, {spell_count(len(images), 'image')}")
    else:
        click.echo("nothing to delete")
    for repository, verdict in kept:
        until = f", until {when(verdict.until_us)}" if verdict.until_us else ""
        line(f"kept: {verdict.tag.called(repository)}: {verdict.reason}{until}")


def _row(repository: str, verdict: Verdict) -> tuple[str, ...]:
    tag = verdict.tag
    name = f"{repository}:{tag.name}" if tag.name else f"{repository} (no tag)"
    return (name, short_digest(tag.digest), spell_size(tag.size_bytes or None), when(tag.pushed_us), verdict.kept_as)


def _delete_once(system: "OneOff", asked: Sequence[DeletionRequest]) -> None:
    """Make the requested deletions. Ctrl-C rejects those that have not begun.

    Raises:
        NotDeletable: the operator must fix something first.
    """
    try:
        system.finish()
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
    except (RegistryRefused, RegistryUnavailable, TrashUnwritable) as error:
        left = spell_count(deletion_progress(system.wiring.store, asked).left, "deletion")
        raise NotDeletable(f"{left} left, fix this first: {error}") from error


def _wait(store: Store, asked: Sequence[DeletionRequest]) -> None:
    """Wait until every requested deletion is done or rejected.

    Raises:
        NotDeletable: the operator must fix something first.
    """
    total, shown_reason, alone_s = sum(len(request.targets) for request in asked), "", 0.0
    bar = Progress(console=Console(stderr=True), transient=True) if sys.stderr.isatty() else None
    with bar or nullcontext():
        task = bar.add_task("deleting", total=total) if bar else None
        while (now := deletion_progress(store, asked)).left:
            alone_s = 0.0 if now.has_worker else alone_s + _POLL_S
            _raise_trouble(now, alone_s)
            if now.waits and now.waits != shown_reason:
                shown_reason = now.waits
                click.echo(f"waiting: {shown_reason}", err=True)
            if bar and task is not None:
                bar.update(task, completed=max(total - now.left, 0))
            time.sleep(_POLL_S)


def _raise_trouble(now: DeletionProgress, alone_s: float) -> None:
    """Raise NotDeletable for a trouble. A service keeps the request, and deletes once the trouble is fixed."""
    if now.trouble:
        left = spell_count(now.left, "deletion")
        raise NotDeletable(f"{left} left, continued automatically once this is fixed: {now.trouble}")
    if alone_s > _NO_WORKER_S:
        raise NotDeletable(now.waits)


def _show_requested(asked: Sequence[DeletionRequest], as_document: bool) -> None:
    if as_document:
        show_document(_answer(asked, requested=True))
    else:
        count = sum(len(request.targets) for request in asked)
        line(f"requested: {spell_count(count, 'deletion')}; `pushprune history` shows each")


def _show_done(store: Store, asked: Sequence[DeletionRequest], as_document: bool, restore_hint: str) -> None:
    stays = not_deleted(store, asked)
    kept = {(repository, verdict.tag.name or verdict.tag.digest) for repository, verdict, _ in stays}
    if as_document:
        rows = _answer(asked, requested=True).deletions
        deletions = tuple(row for row in rows if (row.repository, row.tag or row.digest) not in kept)
        keeps = tuple(
            VerdictAnswer.of(repository, replace(verdict, kept=True, reason=why)) for repository, verdict, why in stays
        )
        show_document(ManualDeletionAnswer(requested=True, done=True, deletions=deletions, kept=keeps))
    else:
        gone = sum(len(request.deletions) for request in asked) - len(stays)
        line(f"deleted: {gone}; {restore_hint}")
        for repository, verdict, why in stays:
            line(f"kept: {verdict.tag.called(repository)}: {why}")
    if stays:
        raise NotDeletable(f"not deleted: {spell_count(len(stays), 'tag or manifest')}, as said above")


def _answer(planned: Iterable[DeletionRequest], *, requested: bool) -> ManualDeletionAnswer:
    planned = tuple(planned)
    return ManualDeletionAnswer(
        requested=requested,
        done=False,
        deletions=tuple(
            VerdictAnswer.of(request.repository, verdict) for request in planned for verdict in request.deletions
        ),
        kept=tuple(VerdictAnswer.of(request.repository, verdict) for request in planned for verdict in request.kept),
    )
