"""`pushprune restore REPO:TAG | REPO@DIGEST`: restore a deleted image; with `--from DIR`, from a folder."""

from pathlib import Path

import click

from service.answers.history import RestoredImage
from service.cli.connect import connect, connection_options, known_repositories, show_json
from service.cli.names import parse_reference, parse_tag
from service.cli.output import line, short_digest, when
from service.cli.registry import asked_registry, refuse_v1
from service.cli.restore_from import restore_from
from service.cli.user import login_name
from service.domain.policy.units import parse_span, spell_duration
from service.restore.restore import LEASE_S, RestoreResult


def _span(ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    try:
        return parse_span(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@connection_options
@click.argument("name", metavar="REPO:TAG|REPO@DIGEST", required=False)
@click.option(
    "--from",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="From the folder of `prune --registry` or `rm --registry`; REPO, or no name at all, restores all of it.",
)
@click.option("--as", "as_tag", metavar="TAG", help="Restore it under this tag instead.")
@click.option(
    "--force", is_flag=True, help="Also if the tag was pushed again since: the tag then no longer points at that push."
)
@click.option(
    "--for",
    "lease_s",
    metavar="DURATION",
    callback=_span,
    default=spell_duration(LEASE_S),
    show_default=True,
    help="Protect the image from policies for this time (0: no protection).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")  # fmt: skip
def restore(
    name: str | None, folder: Path | None, as_tag: str | None, force: bool, lease_s: int, config: Path | None,
    data: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Restore a deleted image with its parts, its signatures and the time of its original push."""
    if asked_registry():
        refuse_v1(config)
    if folder:
        if as_tag:
            raise click.UsageError(
                "--as and --from exclude each other: images of a folder are restored under their own tags"
            )
        restore_from(folder, name, config, data, force=force, as_json=as_json)
        return
    if asked_registry():
        raise click.UsageError("--registry needs --from DIR, the folder that holds what was deleted")
    if name is None:
        raise click.UsageError("name what to restore: REPO:TAG or REPO@DIGEST; `pushprune trash` lists it")
    repository, tag, digest = parse_reference(name)
    if as_tag is not None:
        parse_tag(as_tag)
    wiring = connect(config, data)
    known_repositories(wiring.inventory, [repository])
    restored = wiring.restore.restore(
        repository, tag=tag, digest=digest, as_tag=as_tag, force=force, lease_s=lease_s, by=login_name()
    )
    if as_json:
        show_json(RestoredImage.model_validate(restored))
    else:
        _show(restored)


def _show(restored: RestoreResult) -> None:
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
