"""`pushprune export FILE` and `pushprune import FILE`: a backup of the history, and its way back."""

import gzip
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import click

from service.backup import importing
from service.backup.export import export as exported
from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.output import tracked
from service.domain.errors import StoreInUse, UnusableBackup
from service.domain.policy.units import spell_count

T = TypeVar("T")
_STANDARD = "-"


@click.command(
    epilog=examples(
        "pushprune export backup.jsonl.gz",
        "pushprune export - > backup.jsonl",
    )
)
@click.argument("file", metavar="FILE")
@connection_options
def export(file: str, config: Path | None, data: Path | None) -> None:
    """Write the history, the tags, the trash, holds, approvals and protections to FILE, one JSON object a line.

    The file is compressed if its name ends in .gz; - is standard output. The service may run. Keep the file as secret
    as the registry: it contains manifests and the names of users.
    """
    store = connect(config, data).store
    counts: Counter[str] = Counter()
    with _written(file) as stream:
        for line in exported(store, lambda names: tracked(names, "exporting"), counts, _left_out):
            stream.write(line)
    click.echo(f"exported {_summary(counts)}", err=True)


@click.command(
    "import",
    epilog=examples(
        "pushprune import backup.jsonl.gz",
        "pushprune import backup.jsonl.gz --dry-run",
        "pushprune import backup.jsonl.gz --replace",
    ),
)
@click.argument("file", metavar="FILE")
@connection_options
@click.option("--dry-run", is_flag=True, help="Only check the file, every line of it. Redis is not needed.")
@click.option("--replace", is_flag=True, help="Replace what Redis holds. Without it, only an empty Redis is filled.")
@click.option("--yes", is_flag=True, help="Do not ask (--replace).")
def import_(file: str, config: Path | None, data: Path | None, dry_run: bool, replace: bool, yes: bool) -> None:
    """Fill an empty Redis from the backup FILE, which `pushprune export` wrote; - is standard input.

    The whole file is checked first. While it is imported, the service waits. Afterwards each repository is compared
    with the registry before anything is deleted in it.
    """
    with _readable(file) as stream:
        backup = importing.check(stream, _name(file), lambda values: tracked(values, "checking"))
        summary = _summary(backup.counts)
        if dry_run:
            click.echo(f"{_name(file)} can be imported: {summary}")
            return
        store = connect(config, data).store
        if not importing.is_free(store):
            if not replace:
                raise StoreInUse(
                    "Redis holds a history already: give --replace to replace it, or set another redis.url or "
                    "redis.prefix"
                )
            if not yes:
                click.confirm("Replace all that Redis holds by the backup? It cannot be undone", abort=True)
        importing.write(store, backup, lambda values: tracked(values, "importing", backup.lines))
    click.echo(f"imported {summary}", err=True)


def _left_out(value: str) -> None:
    click.echo(f"pushprune: left out of the backup, because no import would take it: {value}", err=True)


def _summary(counts: Counter[str]) -> str:
    repositories, entries = spell_count(counts["generation"], "repository"), spell_count(counts["history"], "entry")
    return f"{repositories} with {entries} in their histories ({counts.total():,} lines)"


def _name(file: str) -> str:
    return "standard input" if file == _STANDARD else file


@contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """Yield a stream that becomes the file when the block ends without an error."""
    if file == _STANDARD:
        yield cast(BinaryIO, sys.stdout.buffer)
        return
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            # A file that takes the place of a device or a pipe would break it for every program.
            raise UnusableBackup(f"{file} is no file: write to standard output with -")
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UnusableBackup(f"{file} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as raw:
            if path.suffix == ".gz":
                # Level 6 takes half the time of the default, for nearly the same size.
                with gzip.GzipFile("", "wb", 6, raw) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield cast(BinaryIO, raw)
            raw.flush()
            os.fsync(raw.fileno())
        Path(part).replace(path)
    except OSError as error:
        raise UnusableBackup(f"{file} cannot be written: {error.strerror}") from error
    finally:
        Path(part).unlink(missing_ok=True)


@contextmanager
def _readable(file: str) -> Iterator[BinaryIO]:
    """Yield a file that can be read twice. Standard input is kept in a temporary file meanwhile."""
    if file == _STANDARD:
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
            yield cast(BinaryIO, kept)
        return
    try:
        with Path(file).open("rb") as stream:
            yield stream
    except OSError as error:
        raise UnusableBackup(f"{file} cannot be read: {error.strerror}") from error
