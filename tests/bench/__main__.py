"""`python -m tests.bench [FIGURE …]`: measures, and prints one table. A missed target is said, and fails nothing."""

import argparse
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import (
    asked,
    by_tag,
    collect,
    decide,
    gate,
    gone,
    ingest,
    listing,
    one_off,
    pages,
    prune,
    redis_bytes,
    replay,
    resume,
    scale,
    storage_inventory,
)
from tests.bench.calm import described, wait_for_calm
from tests.bench.figure import Figure
from tests.fakes.real_registry import HOW_TO_INSTALL, RealRegistry, registry_binary
from tests.fakes.valkey import Valkey

FIGURES: dict[str, Callable[[], Iterator[Figure]]] = {
    "ingest": ingest.measure,
    "gone": gone.measure,
    "requests": asked.measure,
    "bytes": redis_bytes.measure,
    "decide": decide.measure,
    "listing": listing.measure,
    "resume": resume.measure,
    "prune": prune.measure,
    "by_tag": by_tag.measure,
    "one_off": one_off.measure,
    "gate": gate.measure,
    "pages": pages.measure,
    "collect": collect.measure,
    "inventory": storage_inventory.measure,
    "scale": scale.measure,
    "replay": replay.measure,
}
_NEED_A_REGISTRY = {"gone", "requests", "resume", "prune", "one_off", "gate", "collect"}
# Only if they are named: each takes many minutes.
_LONG = {"scale", "replay"}
_MARKS = {True: "[green]met[/]", False: "[red]MISSED[/]", None: ""}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "figures",
        nargs="*",
        metavar="FIGURE",
        help=f"which ones: {', '.join(FIGURES)}; default: all but {', '.join(_LONG)}",
    )
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for a calm machine, per figure (60)")
    given = parser.parse_args()
    if unknown := set(given.figures) - FIGURES.keys():
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    message = Console(stderr=True)
    rows: list[tuple[Figure, ...]] = []
    notes: list[str] = []
    for name in given.figures or [name for name in FIGURES if name not in _LONG]:
        if name in _NEED_A_REGISTRY and registry_binary() is None:
            notes.append(f"{name}: not measured: {HOW_TO_INSTALL}")
            continue
        busy = wait_for_calm(given.wait)
        notes.append(f"{name}: {described(busy)}")
        with message.status(f"measuring {name}"):
            rows.append(_measured(name))
    _print(rows, notes)


def _measured(name: str) -> tuple[Figure, ...]:
    """Take each figure. One that cannot be taken is reported, and does not prevent the others."""
    figures: list[Figure] = []
    try:
        figures.extend(FIGURES[name]())
    except Exception as error:
        logging.exception("%s could not be measured", name)
        figures.append(Figure(name, f"COULD NOT BE MEASURED: {str(error).strip() or repr(error)}"[:300], "", False))
    return tuple(figures)


def _print(rows: list[tuple[Figure, ...]], notes: list[str]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table("figure", "measured", "target", "")
    for figures in rows:
        for figure in figures:
            table.add_row(figure.name, figure.measured, figure.target, _MARKS[figure.met])
        table.add_section()
    console.print(table)
    for note in (_machine(), *notes):
        console.print(note, highlight=False, markup=False)
    missed = sum(figure.met is False for figures in rows for figure in figures)
    console.print(f"{missed} target(s) missed" if missed else "every target was met")


def _machine() -> str:
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder)) as valkey:
        messages = valkey.client().info("server")
    store = f"{messages.get('server_name', 'redis')} {messages.get('valkey_version') or messages['redis_version']}"
    registry = f"registry {RealRegistry().version}" if registry_binary() else "no registry"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"on {os.cpu_count()} cores: {python}, {store}, {registry}"


if __name__ == "__main__":
    main()
