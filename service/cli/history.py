"""`pushprune history REPO[:TAG]`: what happened, when, by whom, and why."""

from dataclasses import asdict
from pathlib import Path

import click

from service.cli.name import parse_name
from service.cli.reach import known, reach, reaching, show_json
from service.cli.show import short_digest, table, when


@click.command()
@click.argument("name", metavar="REPO[:TAG]")
@reaching
@click.option("--count", default=50, show_default=True, type=click.IntRange(min=1), help="How many entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(name: str, config: Path | None, data: Path | None, count: int, as_json: bool) -> None:
    """Show the newest entries of a repository's history, or of one tag's, newest first."""
    repository, tag = parse_name(name)
    wiring = reach(config, data)
    known(wiring, [repository])
    kept = wiring.settings.history.repository_entries
    entries = [e for e in wiring.history.entries(repository, kept if tag else count) if tag in ("", e.tag)][:count]
    if as_json:
        show_json([asdict(entry) for entry in entries])
        return
    rows = [(when(e.at_us), e.action, e.tag, short_digest(e.digest), e.actor, e.useragent, e.reason) for e in entries]
    table(("when", "what", "tag", "digest", "by", "with", "why"), rows)
