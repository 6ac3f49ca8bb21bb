"""`pushprune tags REPO`: the tags of a repository, and what the policy says of each."""

from pathlib import Path

import click

from service.cli.reach import known, need_policy, reach, reaching, show_json
from service.cli.show import short_digest, table, when


@click.command()
@click.argument("repository")
@reaching
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tags(repository: str, config: Path | None, data: Path | None, as_json: bool) -> None:
    """List the tags of REPOSITORY, newest push first, each with its verdict and the reason."""
    wiring = reach(config, data)
    need_policy(wiring)
    known(wiring, [repository])
    verdicts = wiring.outlook.verdicts(repository)
    if as_json:
        show_json(
            [
                {
                    "tag": v.tag.name, "digest": v.tag.digest, "pushed_us": v.tag.pushed_us, "actor": v.tag.actor,
                    "kept": v.kept, "reason": v.reason, "rule": v.rule,
                }
                for v in verdicts
            ]
        )  # fmt: skip
        return
    rows = []
    for v in verdicts:
        verdict = "kept" if v.kept else "to go"
        rows.append((v.tag.name, short_digest(v.tag.digest), when(v.tag.pushed_us), v.tag.actor, verdict, v.reason))
    table(("tag", "digest", "pushed", "by", "verdict", "reason"), rows)
