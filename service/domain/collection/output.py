"""The output of a program: compressed while it arrives, and of a limited size."""

import gzip
import re
import zlib
from collections import deque
from collections.abc import Iterable

_MOST_COMPRESSED = 2 * 1024 * 1024
_MOST_PLAIN = 64 * 1024 * 1024
_LAST_BYTES = 64 * 1024
_LONGEST = 2000
_MOST_ERRORS = 50
_AS_GZIP = 31
_ERROR = re.compile(
    r"\b(errors?|failed|failure|fatal|panic|denied|refused|no space|no such)\b|^exit code (?!0$)", re.IGNORECASE
)


class Output:
    """Collect lines of output as a gzip file.

    The file holds the first lines, 2 MiB of compressed text at most, and the last 64 KiB. Lines between them are
    counted, and those that report an error are kept.
    """

    def __init__(self, most_bytes: int = _MOST_COMPRESSED, last_bytes: int = _LAST_BYTES) -> None:
        self._most_bytes, self._last_bytes = most_bytes, last_bytes
        self._compressor = zlib.compressobj(wbits=_AS_GZIP)
        self._file: list[bytes] = []
        self._compressed_bytes = self._plain_bytes = 0
        self._last: deque[tuple[str, int]] = deque()
        self._waiting_bytes = self._omitted = 0
        self._omitted_errors: list[str] = []

    def add(self, line: str) -> None:
        """Add one line without its line end; a line of more than 2,000 characters is cut."""
        line = line.rstrip("\n") if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
        if self._compressed_bytes < self._most_bytes and self._plain_bytes < _MOST_PLAIN:
            self._compress(line)
            return
        size_bytes = len(line.encode("utf-8", "replace")) + 1
        self._last.append((line, size_bytes))
        self._waiting_bytes += size_bytes
        while self._waiting_bytes > self._last_bytes and len(self._last) > 1:
            omitted, size_bytes = self._last.popleft()
            self._waiting_bytes -= size_bytes
            self._omitted += 1
            if _ERROR.search(omitted) and len(self._omitted_errors) < _MOST_ERRORS:
                self._omitted_errors.append(omitted)

    def finish(self) -> bytes:
        """Return the gzip file, b"" if nothing was printed. Nothing can be added afterwards."""
        if not self._plain_bytes:
            return b""
        if self._omitted:
            errors = "; those that report an error follow" if self._omitted_errors else ""
            self._compress(f"… {self._omitted} lines are left out here: the log is too long{errors}")
        for line in (*self._omitted_errors, *(line for line, _ in self._last)):
            self._compress(line)
        self._file.append(self._compressor.flush())
        return b"".join(self._file)

    def _compress(self, line: str) -> None:
        text = f"{line}\n".encode("utf-8", "replace")
        self._plain_bytes += len(text)
        self._file.append(self._compressor.compress(text))
        self._compressed_bytes += len(self._file[-1])


def lines_of(file: bytes) -> list[str]:
    """Return the lines of a gzip file."""
    return gzip.decompress(file).decode("utf-8", "replace").rstrip("\n").split("\n")


def errors_in(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that report an error, without repetitions, 50 at most."""
    return tuple(dict.fromkeys(line for line in lines if _ERROR.search(line)))[:_MOST_ERRORS]
