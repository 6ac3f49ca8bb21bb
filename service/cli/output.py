"""Tables, times and documents on standard output, in the format that the user chose with -o."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice, starmap, zip_longest
from typing import Any, TypeVar

import click
import yaml
from pydantic_core import to_jsonable_python
from rich.cells import cell_len, set_cell_size

T = TypeVar("T")
_KEY = "service.cli.output"
_DOCUMENTS = ("json", "yaml")
_LISTS = ("table", "wide", "name", *_DOCUMENTS)
# Room for a date without its time; for the beginning of a reason; and for what is left of it beside a long name.
_NARROWEST, _REASON, _LEAST = 11, 16, 6
_GAP = 2
# A longer table is printed in blocks while its rows are read. Its columns can be wider in a later block.
_BLOCK = 1_000


class WideOnly(str):
    """The heading of a column that only `-o wide` shows."""

    __slots__ = ()


def output_options(*, lists: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options -o, --json and --local.

    The verb gets `as_document`: True if the user wants the answer as JSON or YAML. All else is read where it is used.

    Args:
        lists: the verb lists things, so that -o also knows `table`, `wide` and `name`.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--local", is_flag=True, expose_value=False, is_eager=True, callback=keep,
            help="Show times in your time zone, not in UTC.",
        )(command)  # fmt: skip
        command = click.option(
            "--json", "as_document", is_flag=True, callback=_is_document, help="Print JSON: the same as -o json."
        )(command)
        return click.option(
            "-o", "format", metavar="FORMAT", type=click.Choice(_LISTS if lists else _DOCUMENTS), expose_value=False,
            is_eager=True, callback=keep, help=_LISTS_HELP if lists else "Print the answer as json or yaml.",
        )(command)  # fmt: skip

    return add


_LISTS_HELP = (
    "table (the default); wide: all columns, never cut; name: one name per line, for scripts; json or yaml: all fields."
)


limit_option = click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Show the first N only.")


def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep the value of an option for `kept`, instead of handing it to the verb."""
    context.meta[f"{_KEY}.{option.name}"] = value


def _is_document(context: click.Context, option: click.Parameter, value: bool) -> bool:
    return value or context.meta.get(f"{_KEY}.format") in _DOCUMENTS


def kept(option: str) -> Any:
    """Return the value of an option of the current verb that `keep` kept; None without it."""
    context = click.get_current_context(silent=True)
    return context.meta.get(f"{_KEY}.{option}") if context else None


def when(at_us: int | None) -> str:
    """Format a time in µs since the epoch in UTC, or in the user's zone with --local; "unknown" for None or 0."""
    if not at_us:
        return "unknown"
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return (moment.astimezone() if kept("local") else moment).isoformat(" ").replace("+00:00", "Z")


def short_digest(digest: str) -> str:
    """Return the first characters of a digest, enough to distinguish digests; with -o wide all of it."""
    return digest if kept("format") == "wide" else digest[:19]


def show_document(value: Any) -> None:
    """Print one document as JSON, or as YAML with -o yaml; answers and paths may be inside."""
    plain = to_jsonable_python(value)
    if kept("format") == "yaml":
        click.echo(yaml.safe_dump(plain, sort_keys=False, width=1000), nl=False)
    else:
        # Only ASCII, so that a control character in a name or User-Agent cannot reach the terminal.
        click.echo(json.dumps(plain, indent=2))


def show_names(names: Iterable[str]) -> bool:
    """Print one name per line with -o name. Returns True if names were printed."""
    if kept("format") != "name":
        return False
    shown: set[str] = set()
    for name in names:
        if name not in shown:
            shown.add(name)
            line(name)
    return True


def note_limit(limit: int | None, total: int) -> None:
    """Say on standard error if --limit leaves out rows."""
    if limit is not None and total > limit:
        click.echo(f"{limit} of {total} shown (--limit)", err=True)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table, aligned with spaces. Control characters that a registry or a client sent are replaced.

    Each row is one line. Only on a terminal, and not with -o wide, long cells are cut so that a line fits.
    """
    headings, rest, is_wide = tuple(headings), iter(rows), kept("format") == "wide"
    shown = [place for place, heading in enumerate(headings) if is_wide or not isinstance(heading, WideOnly)]
    widths: list[int] = []
    block = [headings, *islice(rest, _BLOCK)]
    while block:
        lines = [[_printable(cells[place]) for place in shown] for cells in map(tuple, block)]
        longest = (max(map(cell_len, column)) for column in zip_longest(*lines, fillvalue=""))
        widths = list(starmap(max, zip_longest(longest, widths, fillvalue=0)))
        if sys.stdout.isatty() and not is_wide:
            widths = _fitted(widths, shutil.get_terminal_size().columns)
        texts = [
            (" " * _GAP).join([_name(cells[0], widths[0]), *map(_cell, cells[1:], widths[1:])]).rstrip()
            for cells in lines
        ]
        if block[0] is headings:
            texts[0] = click.style(texts[0], bold=True)
        click.echo("\n".join(texts))
        block = list(islice(rest, _BLOCK))


def _fitted(widths: Sequence[int], most: int) -> list[int]:
    """Return narrower columns that fit: the last one, a reason, is cut first, and the first one, a name, last."""
    fitted, last = list(widths), len(widths) - 1
    others = range(1, last + 1)
    for places, least in (((last,), _REASON), (others, _NARROWEST), ((last,), _LEAST), ((0,), _NARROWEST)):
        while places and sum(fitted) + _GAP * last > most:
            widest = max(places, key=fitted.__getitem__)
            if fitted[widest] <= least:
                break
            fitted[widest] -= 1
    return fitted


def _name(text: str, width: int) -> str:
    """Return the first cell of a row. A name loses its middle, because its end distinguishes it from other names."""
    if len(text) <= width or " " in text or not text.isascii():
        return _cell(text, width)
    end = width * 2 // 3
    return f"{text[: width - 1 - end]}…{text[-end:]}"


def _cell(text: str, width: int) -> str:
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def line(text: str) -> None:
    """Print one line. Control characters that a registry or a client sent are replaced."""
    click.echo(_printable(text))


def tracked(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Yield the items, and show the progress on standard error if that is a terminal."""
    # Imported here: most verbs show no progress.
    from rich.console import Console
    from rich.progress import track

    console, is_shown = Console(stderr=True), sys.stderr.isatty()
    count = len(items) if isinstance(items, Sequence) else total
    return track(items, what, total=count, console=console, transient=True, disable=not is_shown)


def _printable(text: str) -> str:
    # An escape sequence in a tag or a User-Agent could otherwise control the user's terminal.
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "�" for letter in text)
