"""`pushprune explain REPO[:TAG]`: why a tag stays or goes, and when it could go."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path

import click

from service.cli.name import parse_name
from service.cli.reach import known, need_policy, reach, reaching, show_json
from service.cli.show import line, short_digest, table, when
from service.clock import now_us
from service.domain.errors import NoSuchTag
from service.domain.policy.size import size
from service.domain.retention.conditions import Opinion
from service.domain.retention.explanation import Explanation, with_hold
from service.domain.retention.manual import DRY
from service.wiring import Wiring

_BECAME = {
    "pruned": "was deleted",
    "still listed": "was deleted",
    "delete": "was deleted",
    "vanished": "was found to be gone",
}


@click.command()
@click.argument("name", metavar="REPO[:TAG]")
@reaching
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(name: str, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Say for a tag, or for each tag of a repository: kept or not, by which rule, and when it could go."""
    repository, tag = parse_name(name)
    wiring = reach(config, data)
    need_policy(wiring)
    known(wiring, [repository])
    explained = wiring.outlook.explain(repository, (tag,) if tag else None)
    for hold in wiring.history.holds([repository]):
        explained = with_hold(explained, hold.digests, hold.reason)
    if tag and not explained:
        raise NoSuchTag(_what_became(wiring, repository, tag))
    if as_json:
        show_json([asdict(one) for one in explained])
        return
    if tag:
        for said in _in_full(repository, explained[0]):
            line(said)
    else:
        table(("tag", "digest", "verdict", "why", "could go"), (_row(one) for one in explained))
        for said in waiting(repository, (one.held for one in explained)):
            line(said)
    if wiring.outlook.is_dry():
        line(DRY)


def waiting(repository: str, held: Iterable[str | None]) -> Iterator[str]:
    """What to say under a table of tags, some of which are held for these reasons."""
    for reason in dict.fromkeys(reason for reason in held if reason):
        yield f"the plan waits: {reason}; let it go: pushprune prune --approve {repository}"


def verdict_of(kept: bool, held: str | None) -> str:
    """The verdict in a table."""
    if kept:
        return "kept"
    return "to go once the plan is approved" if held else "to go"


def _row(one: Explanation) -> tuple[str, ...]:
    verdict, tag = one.verdict, one.verdict.tag
    said = verdict_of(verdict.kept, one.held)
    return (tag.name, short_digest(tag.digest), said, verdict.reason, _could_go(one))


def _could_go(one: Explanation) -> str:
    if one.held:
        return "when its plan is approved"
    if one.could_go_us is None:
        return "not by age"
    said = "now" if one.could_go_us <= now_us() else when(one.could_go_us)
    return f"{said}, once approved" if one.needs_approval else said


def _in_full(repository: str, one: Explanation) -> Iterator[str]:
    verdict, tag = one.verdict, one.verdict.tag
    yield f"{tag.called(repository)}  {tag.digest}  {size(tag.size_bytes or None)}"
    yield f"pushed {when(tag.pushed_us)}{' by ' + tag.actor if tag.actor else ''}, {_pulled(tag.pulled_us)}"
    approve = f" (pushprune prune --approve {repository})" if one.held else ""
    yield f"{verdict_of(verdict.kept, one.held)}{approve}: {verdict.reason}"
    if one.held:
        yield f"  the plan waits: {one.held}"
    for opinion in one.opinions:
        yield _said(opinion, verdict.reason)
    if one.index:
        yield f"  part of the index {one.index}"
    for other in one.shares:
        yield f"  same digest: {other.tag.name} ({'kept' if other.kept else 'to go'}: {other.reason})"
    yield f"could go: {_could_go_in_full(one)}"


def _said(opinion: Opinion, verdict_reason: str) -> str:
    """What one rule says, without the reason where the verdict has just given it."""
    place = f" (place {opinion.place}, last: {opinion.limit})" if opinion.place else ""
    reason = "" if opinion.reason == verdict_reason else f": {opinion.reason.removesuffix(f' (rule {opinion.rule})')}"
    until = f", until {when(opinion.until_us)}" if opinion.until_us else ""
    return f"  rule {opinion.rule} {'keeps it' if opinion.keep else 'deletes it'}{reason}{place}{until}"


def _could_go_in_full(one: Explanation) -> str:
    if one.held:
        return _could_go(one)
    said = _could_go(one)
    if one.could_go_us is None:
        return f"{said} (needs {one.only_after})"
    if one.verdict.kept and one.verdict.tag.pushed_us is None:
        return f"{said}, as soon as its creation date is read"
    return said if one.could_go_us <= now_us() else f"{said}, if nothing more is pushed or pulled"


def _pulled(at_us: int | None) -> str:
    return f"pulled {when(at_us)}" if at_us else "never pulled, as far as we know"


def _what_became(wiring: Wiring, repository: str, tag: str) -> str:
    """What became of a tag that is not live, by its history."""
    entries = wiring.history.entries(repository, wiring.settings.history.repository_entries)
    of_tag = (entry for entry in entries if entry.tag == tag)
    newest = max(of_tag, key=lambda entry: entry.at_us, default=None)
    name = f"{repository}:{tag}"
    if newest is None:
        near = get_close_matches(tag, [one.name for one in wiring.history.live(repository)], cutoff=0.5)
        return f"{name}: no tag of that name was ever seen" + (f"; near: {', '.join(near)}" if near else "")
    if newest.action not in _BECAME:
        return f"{name} is gone; `pushprune history {name}` shows what is known of it"
    by = f" by {newest.actor}" if newest.actor else ""
    why = f": {newest.reason}" if newest.reason else ""
    back = any(one.tag == tag and one.digest == newest.digest for one in wiring.undo.deleted(repository))
    how = f"; `pushprune restore {name}` puts it back" if back else ""
    return f"{name} {_BECAME[newest.action]} {when(newest.at_us)}{by}{why}{how}"
