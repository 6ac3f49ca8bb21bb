"""`pushprune prune --registry URL`: delete what a policy does not keep, at a registry that no service listens to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.connect import matching_repositories
from service.cli.one_off import compare_once, open_once
from service.cli.output import line, show_document
from service.cli.policy_file import load_policy_file
from service.cli.registry import restore_hint, trash_folder
from service.domain.errors import ConfigurationError, PushpruneError, RegistryRefused, unknown_repository
from service.domain.policy.model import Policy
from service.domain.policy.units import spell_count
from service.domain.retention.selector import TagSelector, is_glob
from service.restore.trash_folder import TrashFolder
from service.settings import load_settings

# Imported where they are used: the first request waits for nothing that only its answer needs.
if TYPE_CHECKING:
    from service.domain.retention.preview import Preview
    from service.local.made_deletions import RepositoryDeletions
    from service.local.one_off import OneOff


def policy_for_one_off(keep_last: int | None, order: str | None, file: Path | None, config: Path | None) -> Policy:
    """Return the policy to apply once. Raises ConfigurationError if there is none, or two.

    Its first plan waits for no approval: the command itself asks before it deletes.
    """
    if keep_last and file:
        raise click.UsageError("--keep-last is a policy, and --policy names another: give only one of them")
    if order and not keep_last:
        raise click.UsageError("--order belongs to --keep-last; in a policy each rule has its `order`")
    if keep_last:
        rule = {"name": f"last-{keep_last}", "keep": {"last": keep_last}, "order": order or "pushed"}
        return Policy.model_validate({"protect": ["latest"], "first_plan": "apply", "rules": [rule]})
    chosen = file or load_settings(config).policy
    if chosen is None:
        raise ConfigurationError("a policy is missing: give --keep-last N, or --policy FILE")
    policy = load_policy_file(chosen) if isinstance(chosen, Path) else chosen
    return policy.model_copy(update={"first_plan": "apply"})


@dataclass(frozen=True)
class OneOffPrune:
    """One run of `prune --registry`.

    Attributes:
        names: repositories or globs; () for all.
    """

    url: str
    names: Sequence[str]
    config: Path | None
    policy: Policy
    trash: Path | None
    dry_run: bool
    yes: bool
    as_document: bool

    def run(self) -> None:
        """Show what is to be deleted, and delete it unless this is a dry run; without `yes` the user is asked first."""
        deletes = not self.dry_run and not self.policy.dry_run
        if deletes and not self.yes and not sys.stdin.isatty():
            raise ConfigurationError("not a terminal: add --yes to delete, or --dry-run to preview")
        folder = trash_folder(self.url, self.trash)
        if deletes and self.yes:
            self._prune(folder)
            return
        system = compare_once(self.url, self.config, self.policy, self.names, folder.path if deletes else None)
        names = matching_repositories(system.wiring.inventory, self.names) or system.wiring.inventory.names()
        previews = system.wiring.verdicts.preview(names, self.policy)
        if not deletes or not any(preview.deletions for preview in previews):
            self._show(previews)
            return
        if not self.as_document:
            self._show(previews)
        click.confirm("delete?", abort=True, err=True)
        # After the confirmation, so that a cancelled command leaves no empty folder.
        folder.prepare()
        self._delete(system, folder, lambda: system.delete_by(self.policy), lambda: previews)

    def _show(self, previews: Sequence[Preview]) -> None:
        from service.cli.previews import show_previews

        show_previews(previews, self.policy, self.as_document)

    def _prune(self, folder: TrashFolder) -> None:
        """Delete from each repository as soon as it is compared, without asking in between."""
        system, names = open_once(self.url, self.config, self.policy, self.names, folder.path)
        self._refuse_unknown(system, names)

        def previews() -> Sequence[Preview]:
            known = set(system.wiring.inventory.names())
            plans = system.previews([name for name in names if name in known])
            if not self.as_document or not any(plan.deletions for plan in plans):
                self._show(plans)
            return plans

        self._delete(system, folder, lambda: system.prune(names, self.policy), previews)

    def _refuse_unknown(self, system: OneOff, names: Sequence[str]) -> None:
        """Raise NoSuchRepository before anything is deleted if a name means no repository with tags."""
        for name in self.names:
            matches = TagSelector(name).repositories(names)
            if not matches or not (is_glob(name) or system.wiring.registry.client.tags(name)):
                raise unknown_repository(name)

    def _delete(
        self, system: OneOff, folder: TrashFolder, delete: Callable[[], None], previews: Callable[[], Sequence[Preview]]
    ) -> None:
        """Delete, and print what was deleted, also if an error or Ctrl-C stopped the deletion half-way.

        Args:
            delete: makes the deletions.
            previews: returns what was planned.
        """
        from service.cli.progress import shown_progress
        from service.local.made_deletions import made_deletions

        try:
            with shown_progress(system):
                delete()
        except (PushpruneError, KeyboardInterrupt):
            self._show_deleted(made_deletions(system.wiring.store), previews(), folder, is_complete=False)
            raise
        planned = previews()
        if any(preview.deletions for preview in planned):
            self._show_deleted(made_deletions(system.wiring.store), planned, folder)
        if system.remarks:
            raise RegistryRefused(" ".join(system.remarks))

    def _show_deleted(
        self,
        deletions: Sequence[RepositoryDeletions],
        previews: Sequence[Preview],
        folder: TrashFolder,
        *,
        is_complete: bool = True,
    ) -> None:
        """Print what was deleted. is_complete: False if an error or Ctrl-C ended the deletions."""
        from service.answers.verdicts import Previews
        from service.cli.previews import unknown_ages

        if self.as_document:
            show_document(
                {
                    "preview": Previews.of(previews, dry_run=self.policy.dry_run),
                    **_rows(deletions),
                    "trash": folder.path,
                }
            )
            return
        left = _left(deletions, previews)
        for name in left if is_complete else ():
            line(f"not deleted: {name}: it was pushed again, or another image needs it")
        line(f"deleted: {_counted(deletions, previews)}")
        # The error at the end says why.
        if left and not is_complete:
            line(f"not deleted: {spell_count(len(left), 'tag')}")
        if sentence := unknown_ages(previews):
            line(sentence)
        if deletions:
            line(restore_hint(folder.path))


def _left(deletions: Sequence[RepositoryDeletions], previews: Sequence[Preview]) -> tuple[str, ...]:
    """Return the names of the tags that were planned and not deleted."""
    deleted = {(result.repository, tag) for result in deletions for tag in result.tags}
    return tuple(
        verdict.tag.called(preview.repository)
        for preview in previews
        for verdict in preview.deletions
        if verdict.tag.name and (preview.repository, verdict.tag.name) not in deleted
    )


def _rows(deletions: Sequence[RepositoryDeletions]) -> dict[str, Any]:
    """Return the deleted manifests with their tags, and the deleted tags whose manifest is kept."""
    deleted = [
        {
            "repository": result.repository,
            "digest": digest,
            "tags": sorted(tag for tag, at in result.tags.items() if at == digest),
        }
        for result in deletions
        for digest in sorted(result.digests)
    ]
    untagged = [
        {"repository": result.repository, "tag": tag, "digest": digest}
        for result in deletions
        for tag, digest in sorted(result.tags.items())
        if digest not in result.digests
    ]
    return {"deleted": deleted, "untagged": untagged}


def _counted(deletions: Sequence[RepositoryDeletions], previews: Sequence[Preview]) -> str:
    """Return the counts as text: deleted images, other manifests deleted with them, tags whose image is kept."""
    planned = {(preview.repository, verdict.tag.digest) for preview in previews for verdict in preview.deletions}
    digests = {(result.repository, digest) for result in deletions for digest in result.digests}
    tags = sum(digest in result.digests for result in deletions for digest in result.tags.values())
    alone = sum(len(result.tags) for result in deletions) - tags
    parts = [f"{spell_count(len(digests & planned), 'image')} with {spell_count(tags, 'tag')}"]
    if more := len(digests - planned):
        parts.append(f"{spell_count(more, 'manifest')} that belonged to them")
    if alone:
        parts.append(f"{spell_count(alone, 'tag')} whose image is kept")
    return ", and ".join(parts)
