"""`pushprune restore REPO:TAG | REPO@DIGEST …`: restore deleted images; with `--from DIR`, from a folder."""

import math
from pathlib import Path

import click

from service.answers.bulk import RestorationAnswer
from service.cli.command import examples
from service.cli.connect import connect, connection_options, known_repositories
from service.cli.names import parse_reference, parse_tag, refuse_glob, span
from service.cli.output import line, output_options, short_digest, show_document, when
from service.cli.registry import asked_registry, refuse_v1, registry_option
from service.cli.restore_from import restore_from
from service.cli.user import login_name
from service.domain.bulk import raise_if_refused
from service.domain.errors import NotRestorable
from service.domain.policy.units import spell_count, spell_duration
from service.restore.bulk_restore import RestoredItem, RestoreTarget, restore_each
from service.restore.restoring import LEASE_S


@click.command(
    epilog=examples(
        "pushprune restore shop/api:v7",
        "pushprune restore shop/api:v7 --as v7-old --for 7d",
        "pushprune restore --registry http://127.0.0.1:5000 --from pushprune-trash/HOST/TIME",
    ),
)
@connection_options
@registry_option
@click.argument("names", metavar="REPO:TAG|REPO@DIGEST...", nargs=-1)
@click.option(
    "--from",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Restore from the folder that `prune --registry` or `rm --registry` wrote; without a name everything in it.",
)
@click.option("--as", "as_tag", metavar="TAG", help="Restore the image under this tag instead.")
@click.option(
    "--force",
    is_flag=True,
    help="Replace a newer push of the tag.",
)
@click.option(
    "--for",
    "lease_s",
    metavar="DURATION",
    callback=span,
    default=spell_duration(LEASE_S),
    show_default=True,
    help="Protect the image from policies for this time (0: no protection).",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be restored.")
@output_options()
def restore(
    names: tuple[str, ...], folder: Path | None, as_tag: str | None, force: bool, lease_s: int, config: Path | None,
    data: Path | None, dry_run: bool, as_document: bool,
) -> None:  # fmt: skip
    """Restore deleted images, each with its parts, its signatures and the time of its original push.

    An image that cannot be restored does not stop the others.
    """
    if asked_registry():
        refuse_v1(config)
    if folder:
        if as_tag:
            raise click.UsageError(
                "--as and --from exclude each other: images of a folder are restored under their own tags"
            )
        if dry_run or len(names) > 1:
            raise click.UsageError("--from takes one name or none, and no --dry-run")
        restore_from(folder, names[0] if names else None, config, data, force=force, as_document=as_document)
        return
    if asked_registry():
        raise click.UsageError("--registry needs --from DIR, the folder that holds what was deleted")
    if not names:
        raise click.UsageError("name what to restore: REPO:TAG or REPO@DIGEST; `pushprune trash` lists it")
    if as_tag and len(names) > 1:
        raise click.UsageError("--as takes one image: name only that one")
    targets = [_target(name, as_tag) for name in names]
    wiring = connect(config, data)
    known_repositories(wiring.inventory, [target.repository for target in targets])
    restored = restore_each(
        wiring.restore, targets, login_name(), force=force, lease_s=lease_s, dry_run=dry_run, patience_s=math.inf
    )
    if len(restored) == 1:
        raise_if_refused([restored[0].item])
    if as_document:
        show_document(RestorationAnswer.of(restored, dry_run=dry_run))
    else:
        for entry in restored:
            _show(entry)
    if failed := sum(1 for entry in restored if entry.item.error):
        raise NotRestorable(f"not restored: {spell_count(failed, 'image')}, as said above")


def _target(name: str, as_tag: str | None) -> RestoreTarget:
    refuse_glob(name, "name each image; `pushprune trash -o name` lists the names")
    repository, tag, digest = parse_reference(name)
    return RestoreTarget(repository, tag or "", digest or "", parse_tag(as_tag) if as_tag is not None else "")


def _show(entry: RestoredItem) -> None:
    item, restored = entry.item, entry.restored
    if restored is None:
        line(f"{item.name}: {item.message}")
        return
    names = (
        ", ".join(f"{restored.repository}:{tag}" for tag in restored.tags) or f"{restored.repository}@{restored.digest}"
    )
    with_it = [f"{restored.parts} manifests of its index"] if restored.parts else []
    with_it += [", ".join(restored.referrers)] if restored.referrers else []
    line(f"restored: {names}  {short_digest(restored.digest)}{', with ' + ' and '.join(with_it) if with_it else ''}")
    if restored.kept_until_us:
        line(
            f"no policy deletes it before {when(restored.kept_until_us)}; to keep it for good, name it under `protect`"
        )
