"""The lines of a backup: a header, a line for each value, and a last line that counts the values.

    {"pushprune": "backup", "format": 1, "schema": 2, "version": "1.2.0", "at": "2026-11-30T05:11:06Z"}
    {"key": "tags", "repository": "shop/api", "value": {"v1": 1764479466123456}}
    {"key": "history", "repository": "shop/api", "id": "1764479466123-0", "value": {"action": "push", …}}
    {"end": true, "lines": 2, "values": {"history": 1, "tags": 1}}

The keys, and the values of all but `history` and `live`, are those of docs/redis-schema.md. An entry of `history` is
flat, as in `events`. A value of `live` is "<short digest> <size>[!] <name of the user>".
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from service.domain.errors import UnusableBackup
from service.store.backup import SAVED, SavedValue

FORMAT = 1
# A manifest of 4 MiB, which is the most that Distribution takes, is shorter than this in the trash.
LONGEST_LINE = 16 << 20
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Header:
    """The first line. schema: the version of the schema in Redis; version: of the pushprune that wrote the backup."""

    format: int
    schema: int
    version: str
    at: str

    def packed(self) -> bytes:
        """Return the line."""
        about = {"pushprune": "backup", "format": self.format, "schema": self.schema}
        return _packed(about | {"version": self.version, "at": self.at})


def packed_value(saved: SavedValue) -> bytes:
    """Return the line of a value."""
    row: dict[str, Any] = {"key": saved.key.removesuffix(":R")}
    row |= {"repository": saved.repository} if saved.repository else {}
    row |= {"id": saved.id} if saved.id else {}
    row |= {"expires_ms": saved.expires_ms} if saved.expires_ms else {}
    return _packed(row | ({"added": saved.added} if saved.added else {"value": saved.value}))


def packed_end(values: Mapping[str, int]) -> bytes:
    """Return the last line. values: how many lines there are of each key."""
    return _packed({"end": True, "lines": sum(values.values()), "values": dict(sorted(values.items()))})


def read_header(line: bytes, name: str) -> Header:
    """Return the first line of a file. Raises UnusableBackup if the file is no backup."""
    row = _row(line)
    if row.get("pushprune") != "backup":
        raise UnusableBackup(f"{name} is no backup: its first line is not that of `pushprune export`")
    header = Header(row.get("format", 0), row.get("schema", 0), str(row.get("version")), str(row.get("at")))
    if type(header.format) is not int or type(header.schema) is not int:
        raise UnusableBackup(f"{name}, line 1: the format and the schema of a backup are numbers")
    return header


def read_value(line: bytes) -> SavedValue | dict[str, int]:
    """Return the value of a line; of the last line, how many lines there are of each key.

    Raises ValueError, with the fault, if it is neither.
    """
    row = _row(line)
    # JSON can name halves of characters, which Redis cannot store.
    if b"\\ud" in line.lower() and not _is_text(row):
        raise ValueError("it has a text that is no UTF-8")
    if row.get("end") is True:
        values = row.get("values")
        if not isinstance(values, dict) or not all(type(count) is int for count in values.values()):
            raise ValueError("the last line has no counts")
        if row.get("lines") != sum(values.values()):
            raise ValueError("the last line does not count the others")
        return values
    unknown = row.keys() - {"key", "repository", "id", "expires_ms", "added", "value"}
    if unknown or not isinstance(row.get("key"), str):
        raise ValueError("it is no line of a backup")
    key = row["key"] if row["key"] in SAVED else f"{row['key']}:R"
    return SavedValue(
        key, row.get("repository", ""), row.get("value", ""), row.get("id", ""), row.get("expires_ms", 0),
        row.get("added", 0),
    )  # fmt: skip


def lines_of(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that can be read again, each with its number.

    Args:
        stream: packed by gzip or not.
        name: of the file, for sentences.

    Raises:
        UnusableBackup: the file is damaged or cut off, or has a line that is too long.
    """
    stream.seek(0)
    is_packed = stream.read(2) == _GZIP
    stream.seek(0)
    reader = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if is_packed else stream
    number = 0
    try:
        while line := reader.readline(LONGEST_LINE):
            number += 1
            if len(line) >= LONGEST_LINE:
                raise UnusableBackup(f"{name}, line {number} is longer than any line of a backup")
            yield number, line
    except EOFError as error:
        raise cut_off(name) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnusableBackup(f"{name} is damaged behind line {number} ({error}): use another backup") from error


def cut_off(name: str) -> UnusableBackup:
    """Return the error about a file without its last line."""
    return UnusableBackup(f"{name} is cut off: its last line, which counts the others, is missing; use another backup")


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _is_text(row: Mapping[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _packed(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"
