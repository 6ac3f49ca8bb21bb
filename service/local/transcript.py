"""The common log of several processes: every line has the name of its process, and lines never mix."""

import sys
import threading
from contextlib import suppress
from typing import IO, TextIO

OURSELVES = "pushprune"
# A longer line is split, so that a child cannot fill our memory.
LONGEST_LINE_BYTES = 16_384
_COLOURS = ("36", "33", "32", "35", "34", "31")
_RESET = "\x1b[0m"


class Transcript:
    """Write lines of named speakers to one stream, aligned, with a colour for each on a terminal.

    After the stream was closed (a closed pipe), writing does nothing: the system must run on without a reader.
    """

    def __init__(
        self, out: TextIO | None = None, *, speakers: tuple[str, ...] = (), colour: bool | None = None
    ) -> None:
        self._out = sys.stdout if out is None else out
        self._colour = self._out.isatty() if colour is None else colour
        self._width = max(len(name) for name in (OURSELVES, *speakers))
        self._colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate((OURSELVES, *speakers))}
        # Reentrant: a signal handler may write while its own thread is writing.
        self._lock = threading.RLock()

    @property
    def is_terminal(self) -> bool:
        """True if the stream is a terminal; False for a file, a pipe or a log."""
        with suppress(ValueError):  # the stream is closed
            return self._out.isatty()
        return False

    def say(self, text: str, speaker: str = OURSELVES) -> None:
        """Write each line of `text` under the speaker's name."""
        prefix = f"{speaker:<{self._width}} | "
        if self._colour:
            prefix = f"\x1b[{self._colours.get(speaker, '37')}m{prefix}{_RESET}"
        self._write("".join(f"{prefix}{line}\n" for line in text.splitlines() or [""]))

    def plain(self, text: str) -> None:
        """Write text without a name before it, so that the user can copy it."""
        self._write(text if text.endswith("\n") else text + "\n")

    def turn_to(self, out: TextIO) -> None:
        """Write to another stream from now on."""
        with self._lock:
            self._out, self._colour = out, out.isatty()

    def relay(self, stream: IO[bytes], speaker: str) -> None:
        """Read the stream to its end, write its lines under the speaker's name, and close it."""
        with stream:
            while line := stream.readline(LONGEST_LINE_BYTES):
                self.say(_printable(line), speaker)

    def _write(self, text: str) -> None:
        with self._lock:
            try:
                self._out.write(text)
                self._out.flush()
            except (OSError, ValueError):
                return


def _printable(line: bytes) -> str:
    """Return a child's line as text that cannot move the cursor: colours are kept, control characters are escaped."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    return "".join(mark if mark.isprintable() or mark in "\t\x1b" else repr(mark)[1:-1] for mark in text)
