"""`pushprune repos`: every repository anything is known of."""

from pathlib import Path

import click

from service.cli.reach import reach, reaching, show_json
from service.cli.show import table, when


@click.command()
@reaching
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def repos(config: Path | None, data: Path | None, as_json: bool) -> None:
    """List the repositories with the number of their tags and their last push."""
    wiring = reach(config, data)
    rows = []
    for name in wiring.history.repositories():
        live = wiring.history.live(name)
        rows.append((name, len(live), live[0].pushed_us if live else None, wiring.history.held(name)))
    if as_json:
        keys = ("repository", "tags", "pushed_us", "held")
        show_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table(("repository", "tags", "last push", ""), [(n, str(c), when(at), held or "") for n, c, at, held in rows])
