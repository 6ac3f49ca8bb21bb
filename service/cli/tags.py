"""`pushprune tags REPO`: the tags of a repository, and what the policy says of each."""

from pathlib import Path

import click

from service.cli.explain import verdict_of, waiting
from service.cli.name import parse_name
from service.cli.reach import known, need_policy, reach, reaching, show_json
from service.cli.registry import reach_v1
from service.cli.show import line, short_digest, table, when
from service.cli.v1 import show_tags
from service.domain.asking import DRY


@click.command()
@click.argument("repository")
@reaching
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tags(repository: str, config: Path | None, data: Path | None, as_json: bool) -> None:
    """List the tags of REPOSITORY, newest push first, each with its verdict and the reason."""
    parse_name(repository)
    old = reach_v1(config)
    if old:
        show_tags(old, repository, as_json)
        return
    wiring = reach(config, data)
    need_policy(wiring)
    known(wiring, [repository])
    verdicts = wiring.outlook.verdicts(repository)
    waits = {digest: hold.reason for hold in wiring.history.holds([repository]) for digest in hold.digests}
    held = [None if v.kept else waits.get(v.tag.digest) for v in verdicts]
    if as_json:
        show_json(
            [
                {
                    "tag": v.tag.name, "digest": v.tag.digest, "pushed_us": v.tag.pushed_us, "actor": v.tag.actor,
                    "kept": v.kept, "reason": v.reason, "rule": v.rule, "held": why,
                }
                for v, why in zip(verdicts, held, strict=True)
            ]
        )  # fmt: skip
        return
    rows = []
    for v, why in zip(verdicts, held, strict=True):
        verdict = verdict_of(v.kept, why)
        rows.append((v.tag.name, short_digest(v.tag.digest), when(v.tag.pushed_us), v.tag.actor, verdict, v.reason))
    table(("tag", "digest", "pushed", "by", "verdict", "reason"), rows)
    for said in waiting(repository, held):
        line(said)
    if wiring.outlook.is_dry():
        line(DRY)
