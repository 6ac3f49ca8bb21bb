"""`pushprune tags REPO[:TAG]…`: the tags of repositories, and what the policy says of each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from service.cli.explain import verdict_of, waiting
from service.cli.name import parse_listed
from service.cli.reach import meant, need_policy, reach, reaching, show_json
from service.cli.registry import reach_v1
from service.cli.show import line, short_digest, table, when
from service.cli.v1 import show_tags
from service.domain.errors import NoSuchTag
from service.domain.policy.size import size
from service.domain.retention.manual import DRY
from service.domain.retention.selector import Wanted
from service.reports.inventory import Listed
from service.wiring import Wiring

Platforms = Mapping[tuple[str, str], Sequence[str]]  # by repository and digest


@click.command()
@click.argument("name", metavar="REPO[:TAG]")
@reaching
@click.option("--platforms", "with_platforms", is_flag=True, help="Ask the registry which platforms each is for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tags(name: str, config: Path | None, data: Path | None, with_platforms: bool, as_json: bool) -> None:
    """List the tags of REPO, newest push first, each with its verdict and the reason. REPO and TAG may be globs."""
    repository, tag = parse_listed(name)
    old = reach_v1(config)
    if old:
        show_tags(old, repository, tag, as_json)
        return
    wiring = reach(config, data, [repository])
    need_policy(wiring)
    names = meant(wiring, (repository,))
    listed = [one for repository in names for one in _listed(wiring, repository, tag)]
    if tag and not listed:
        raise NoSuchTag(f"{name} is no tag that is there; `pushprune tags {repository}` lists them")
    platforms = _platforms(wiring, listed) if with_platforms else {}
    if as_json:
        show_json([_json(one, platforms if with_platforms else None) for one in listed])
        return
    _show(listed, platforms if with_platforms else None, one_repository=len(names) == 1)
    for repository in names:
        for said in waiting(repository, (one.held for one in listed if one.repository == repository)):
            line(said)
    if wiring.outlook.is_dry():
        line(DRY)


def _listed(wiring: Wiring, repository: str, tag: str) -> Iterable[Listed]:
    """A glob leaves out what belongs to another image; without a tag everything is meant."""
    rows = wiring.inventory.tags(repository, lambda _: True).rows
    if not tag:
        return rows
    names = Wanted(repository, tag).tags({one.verdict.tag.name for one in rows})
    return (one for one in rows if one.verdict.tag.name in names)


def _platforms(wiring: Wiring, listed: Iterable[Listed]) -> Platforms:
    digests: dict[str, list[str]] = {}
    for one in listed:
        digests.setdefault(one.repository, []).append(one.verdict.tag.digest)
    return {
        (repository, digest): said
        for repository, wanted in digests.items()
        for digest, said in wiring.platforms.of(repository, wanted).items()
    }


def _show(listed: Iterable[Listed], platforms: Platforms | None, *, one_repository: bool) -> None:
    headings = ["tag", "digest", "size", "pushed", "by", "pulled", "verdict", "reason"]
    if platforms is not None:
        headings.insert(3, "platforms")
    rows = []
    for one in listed:
        verdict, tag = one.verdict, one.verdict.tag
        row = [
            tag.name if one_repository else tag.called(one.repository), short_digest(tag.digest),
            size(tag.size_bytes or None), when(tag.pushed_us), tag.actor, when(tag.pulled_us) if tag.pulled_us else "",
            verdict_of(verdict.kept, one.held), verdict.reason + _until(one),
        ]  # fmt: skip
        if platforms is not None:
            row.insert(3, ", ".join(platforms.get((one.repository, tag.digest), ())))
        rows.append(row)
    table(headings, rows)


def _until(one: Listed) -> str:
    until_us = one.verdict.until_us if one.verdict.kept else None
    return f", until {when(until_us)}" if until_us else ""


def _json(one: Listed, platforms: Platforms | None) -> dict[str, object]:
    verdict, tag = one.verdict, one.verdict.tag
    known = {} if platforms is None else {"platforms": list(platforms.get((one.repository, tag.digest), ()))}
    return {
        "repository": one.repository, "tag": tag.name, "digest": tag.digest, "size_bytes": tag.size_bytes or None,
        "pushed_us": tag.pushed_us, "pulled_us": tag.pulled_us, "actor": tag.actor, "kept": verdict.kept,
        "reason": verdict.reason, "rule": verdict.rule, "until_us": verdict.until_us, "held": one.held, **known,
    }  # fmt: skip
