"""Times, digests and tables as text for a terminal."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


def when(at_us: int | None) -> str:
    """Format a time in µs since the epoch as local time; "unknown" for None or 0."""
    if not at_us:
        return "unknown"
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_digest(digest: str) -> str:
    """Return the first characters of a digest, enough to distinguish digests."""
    return digest[:19]


def number(count: int, of: str) -> str:
    """Return a count with its noun, such as "2 tags". The plural adds an s."""
    return f"{count} {of}" if count == 1 else f"{count} {of}s"


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table. Control characters that a registry or a client sent are replaced."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(Text(_printable(cell)) for cell in row))
    # Without a terminal, rich assumes 80 columns and would fold most rows.
    Console(width=None if sys.stdout.isatty() else 200).print(made)


def line(text: str) -> None:
    """Print one line. Control characters that a registry or a client sent are replaced."""
    click.echo(_printable(text))


def _printable(text: str) -> str:
    # An escape sequence in a tag or a User-Agent could otherwise control the user's terminal.
    return "".join(letter if letter.isprintable() else "�" for letter in text)
