"""`pushprune protect REPO:TAG…`: protect images from every deletion for a while."""

from pathlib import Path

import click

from service.answers.protections import ProtectionAnswer
from service.cli.command import examples
from service.cli.connect import connect, connection_options, known_repositories
from service.cli.names import UnclearName, parse_name, parse_tag, refuse_glob, span
from service.cli.output import line, output_options, show_document, when
from service.cli.user import login_name
from service.domain.policy.units import spell_count
from service.prune.protecting import current_digests, end_protection
from service.prune.protecting import protect as protect_images


@click.command(
    epilog=examples(
        "pushprune protect shop/api:v7",
        "pushprune protect shop/api:v7 shop/web:v7 --for 365d",
        "pushprune protect shop/api:v7 --for 0",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="REPO:TAG...")
@connection_options
@click.option(
    "--for", "keep_for_s", metavar="DURATION", callback=span, default="30d", show_default=True,
    help="For how long; a longer protection stays as it is. 0: end the protection.",
)  # fmt: skip
@output_options()
def protect(
    names: tuple[str, ...], config: Path | None, data: Path | None, keep_for_s: int, as_document: bool
) -> None:  # fmt: skip
    """Protect the images of tags from every deletion for a while, manual ones included.

    An image stays protected whichever tags it has later.
    """
    tags: dict[str, list[str]] = {}
    for name in names:
        repository, tag = parse_name(name)
        if not tag:
            raise UnclearName(f"name a tag, not a repository: write {repository}:TAG")
        refuse_glob(name, f"name each tag; `pushprune tags '{name}' -o name` lists the names")
        tags.setdefault(repository, []).append(parse_tag(tag))
    wiring = connect(config, data)
    known_repositories(wiring.inventory, tags)
    digests = {repository: current_digests(wiring.store, repository, named) for repository, named in tags.items()}
    answers = []
    for repository, known in digests.items():
        if keep_for_s:
            protection = protect_images(wiring.store, wiring.dispatch, repository, known, keep_for_s, by=login_name())
            answers.append(ProtectionAnswer.of(repository, protection))
            sentence = (
                f"{repository}: {spell_count(protection.images, 'image')} protected until {when(protection.until_us)}"
            )
        else:
            ended = end_protection(wiring.store, wiring.dispatch, repository, known, by=login_name())
            answers.append(ProtectionAnswer.ended(repository, len(known), ended))
            images = spell_count(ended, "image")
            sentence = f"{repository}: the protection of {images} has ended; from now on the policy decides"
        if not as_document:
            line(sentence)
    if as_document:
        show_document(answers)
