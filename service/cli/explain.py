"""`pushprune explain REPO[:TAG]`: why a tag stays or goes, and when it could go."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from service.cli.reach import known, need_policy, reach, reaching, show_json
from service.cli.show import line, short_digest, size, table, when
from service.clock import now_us
from service.domain.errors import NoSuchTag
from service.domain.explanation import Explanation


@click.command()
@click.argument("name", metavar="REPO[:TAG]")
@reaching
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(name: str, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Say for a tag, or for each tag of a repository: kept or not, by which rule, and when it could go."""
    repository, _, tag = name.partition(":")
    wiring = reach(config, data)
    need_policy(wiring)
    known(wiring, [repository])
    explained = wiring.outlook.explain(repository, (tag,) if tag else None)
    if tag and not explained:
        raise NoSuchTag(f"{name} is no live tag; `pushprune history {name}` shows what became of it")
    if as_json:
        show_json([asdict(one) for one in explained])
    elif tag:
        for said in _in_full(repository, explained[0]):
            line(said)
    else:
        table(("tag", "digest", "verdict", "why", "could go"), (_row(one) for one in explained))


def _row(one: Explanation) -> tuple[str, ...]:
    verdict, tag = one.verdict, one.verdict.tag
    return (tag.name, short_digest(tag.digest), "kept" if verdict.kept else "to go", verdict.reason, _could_go(one))


def _could_go(one: Explanation) -> str:
    if one.could_go_us is None:
        return "not by time alone"
    return "now" if one.could_go_us <= now_us() else when(one.could_go_us)


def _in_full(repository: str, one: Explanation) -> Iterator[str]:
    verdict, tag = one.verdict, one.verdict.tag
    yield f"{tag.called(repository)}  {tag.digest}  {size(tag.size_bytes)}"
    yield f"pushed {when(tag.pushed_us)}{' by ' + tag.actor if tag.actor else ''}, pulled {_when_pulled(tag.pulled_us)}"
    yield f"{'kept' if verdict.kept else 'to go'}: {verdict.reason}"
    for opinion in one.opinions:
        until = f", until {when(opinion.until_us)}" if opinion.until_us else ""
        yield f"  {'keeps it' if opinion.keep else 'deletes it'}: {opinion.reason}{until}"
    if one.index:
        yield f"  part of the index {one.index}"
    for other in one.shares:
        yield f"  same digest: {other.tag.name} ({'kept' if other.kept else 'to go'}: {other.reason})"
    yield f"could go: {_could_go(one)}, if nothing more is pushed or pulled"


def _when_pulled(at_us: int | None) -> str:
    return when(at_us) if at_us else "never, as far as is known"
