"""`pushprune search TEXT`: repositories, tags, digests and users that match a text."""

from collections.abc import Iterator
from pathlib import Path

import click

from service.answers.search import SearchMatches
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.output import line, output_options, short_digest, show_document, show_names, table, when
from service.domain.history.search import LONGEST_QUERY, TagMatch
from service.domain.policy.units import spell_count
from service.reports.search import SearchResult

_STATES = {
    "live": "current", "deleted": "deleted", "earlier": "earlier image", "untagged": "no tag",
    "part": "part of this index",
}  # fmt: skip


@click.command(
    epilog=examples(
        "pushprune search v1.4",
        "pushprune search sha256:74c0d3d1e1b5",
        "pushprune search shop/api:v7 --json",
    ),
)
@click.argument("text")
@connection_options
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(min=1),
    help="Show the best N repositories, tags and users only.",
)  # fmt: skip
@output_options(lists=True)
def search(text: str, config: Path | None, data: Path | None, limit: int, as_document: bool) -> None:
    """Search repositories, tags (deleted ones, too), digests and users.

    TEXT is a part of a name, REPO:TAG, or a digest, of which 8 characters suffice.
    """
    if not text.strip() or len(text) > LONGEST_QUERY:
        raise click.UsageError(f"TEXT must have 1 to {LONGEST_QUERY} characters")
    result = connect(config, data).search.find(text, limit)
    if as_document:
        show_document(SearchMatches.model_validate(result))
        return
    if show_names(_names(result)):
        return
    _show(result)


def _names(result: SearchResult) -> Iterator[str]:
    yield from result.repositories
    yield from (_named(match) for match in result.tags)


def _named(match: TagMatch) -> str:
    return f"{match.repository}:{match.tag}" if match.tag else f"{match.repository}@{match.digest}"


def _show(result: SearchResult) -> None:
    if result.repositories:
        table(("repository",), ((name,) for name in result.repositories))
    if result.tags:
        rows = (
            (
                _named(match) if match.tag else match.repository, short_digest(match.digest), _STATES[match.state],
                when(match.at_us) if match.at_us else "", match.actor, match.reason,
            )
            for match in result.tags
        )  # fmt: skip
        table(("tag", "digest", "status", "when", "user", "reason"), rows)
    if result.users:
        table(("user", "tags"), ((user.name, str(user.tags)) for user in result.users))
    if not (result.repositories or result.tags or result.users):
        line("nothing matches; a digest needs at least 8 characters")
    for sentence in _remarks(result):
        line(sentence)


def _remarks(result: SearchResult) -> Iterator[str]:
    for count, listed, noun in (
        (result.repository_count, len(result.repositories), "repository"),
        (result.tag_count, len(result.tags), "tag"),
    ):
        if count > listed:
            yield f"the best {listed} of {count} {'repositories' if noun == 'repository' else 'tags and manifests'}"
    if result.unsearched:
        places = spell_count(result.unsearched, "repository")
        yield f"the search took too long: the tags of {places} were not searched; name one, as in REPO:TEXT"
    if result.history_from_us:
        yield f"the search took too long: deletions before {when(result.history_from_us)} were not searched"
