"""What a program printed: its last lines, and how many stood before them."""

from collections import deque

_MOST_BYTES = 64 * 1024
_LONGEST = 2000


class Output:
    """Takes lines as they come and keeps the last of them, 64 KiB at most."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lines: deque[tuple[str, int]] = deque()
        self._bytes = self._left_out = 0

    def add(self, line: str) -> None:
        """One line, without its end; of a very long one the beginning."""
        line = line.rstrip("\n") if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
        size_bytes = len(line.encode("utf-8", "replace")) + 1
        self._lines.append((line, size_bytes))
        self._bytes += size_bytes
        while self._bytes > self._most_bytes and len(self._lines) > 1:
            self._bytes -= self._lines.popleft()[1]
            self._left_out += 1

    @property
    def text(self) -> str:
        """ "" where nothing was printed."""
        before = [f"… {self._left_out} lines before these are left out"] if self._left_out else []
        return "\n".join([*before, *(line for line, _ in self._lines)])
