"""The output of a program: its last lines, and the number of lines before them."""

from collections import deque

_MOST_BYTES = 64 * 1024
_LONGEST = 2000


class Output:
    """Collect lines of output and keep the last of them, 64 KiB at most."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lines: deque[tuple[str, int]] = deque()
        self._bytes = self._left_out = 0

    def add(self, line: str) -> None:
        """Add one line without its line end; a line of more than 2,000 characters is cut."""
        line = line.rstrip("\n") if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
        size_bytes = len(line.encode("utf-8", "replace")) + 1
        self._lines.append((line, size_bytes))
        self._bytes += size_bytes
        while self._bytes > self._most_bytes and len(self._lines) > 1:
            self._bytes -= self._lines.popleft()[1]
            self._left_out += 1

    @property
    def text(self) -> str:
        """The kept lines, after a line that counts the omitted ones; "" if nothing was printed."""
        before = [f"… {self._left_out} lines before these are left out"] if self._left_out else []
        return "\n".join([*before, *(line for line, _ in self._lines)])
