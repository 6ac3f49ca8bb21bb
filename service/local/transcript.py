"""The one readable log of several processes: every line carries its speaker's name, lines never mix."""

import sys
import threading
from contextlib import suppress
from typing import IO, TextIO

OURSELVES = "pushprune"
LONGEST_LINE_BYTES = 16_384  # a longer one is cut into pieces: a child must not fill our memory
_COLOURS = ("36", "33", "32", "35", "34", "31")
_RESET = "\x1b[0m"


class Transcript:
    """Writes lines of named speakers to one stream, aligned, with a colour for each on a terminal.

    Once the stream is gone (a closed pipe) it goes on silently: that nobody listens is no reason to stop.
    """

    def __init__(
        self, out: TextIO | None = None, *, speakers: tuple[str, ...] = (), colour: bool | None = None
    ) -> None:
        self._out = sys.stdout if out is None else out
        self._colour = self._out.isatty() if colour is None else colour
        self._width = max(len(name) for name in (OURSELVES, *speakers))
        self._colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate((OURSELVES, *speakers))}
        self._lock = threading.RLock()  # a signal handler may speak while its own thread is speaking

    @property
    def is_terminal(self) -> bool:
        """True if a person reads along; False for a file, a pipe or a log that is kept."""
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
        """Write text without a name before it: a block that is meant to be copied."""
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
    """Bytes of a child as text that cannot move the cursor: colours stay, other control characters are shown."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    return "".join(mark if mark.isprintable() or mark in "\t\x1b" else repr(mark)[1:-1] for mark in text)
