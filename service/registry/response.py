"""The answer of a server as bytes: its head is read strictly, and all of it within bounds of size and time."""

import http.client
import io
import re
import socket
import time

from service.registry.exchange import AnswerCompressed, AnswerRefused, AnswerTooLarge, BodyLost

# For a whole answer after its first byte, however slowly the others arrive.
_ANSWER_S = 60.0
_LINE_BYTES = 65_536
_PIECE_BYTES = 65_536
_MOST_LINES = 101
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])( [^\r\n]*)?\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00\r\n]*)\r?\n")
_NO_BODY = frozenset({204, 304})


class _TimedBytes(io.RawIOBase):
    """The bytes of one answer: after the deadline, reading fails. A timeout of the socket is for each wait alone."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._end_s: float | None = None
        self.is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if self.is_over:
            return 0
        if self._end_s is not None and time.monotonic() > self._end_s:
            raise TimeoutError(f"the answer takes longer than {_ANSWER_S:g} s")
        count = self._source.readinto(buffer)
        # Before its first byte, a DELETE may rightly take longer than any other answer as a whole.
        self._end_s = self._end_s or time.monotonic() + _ANSWER_S
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer whose head and body together must arrive before the deadline.

    Attributes:
        fields: the values of each header, by its name in lower case.
        has_rest: True if the server sent more than the answer.
    """

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self._is_head = method == "HEAD"
        self.fields: dict[str, tuple[str, ...]] = {}
        self.has_rest = False
        self._bytes = _TimedBytes(self.fp.detach())
        self.fp = io.BufferedReader(self._bytes)

    # http.client would parse the head as an e-mail, which takes half of the time of a request and passes over mistakes.
    def begin(self) -> None:
        """Read the head, and find out where the body ends.

        Raises:
            RemoteDisconnected: the connection ended.
            AnswerRefused: the head is malformed, or larger than that of any registry.
        """
        minor = self._read_head()
        while self.status < 200:
            minor = self._read_head()
        coding = self._field("transfer-encoding").lower()
        # RFC 9110, section 8.6: a length may be repeated.
        length, *other_lengths = {value.strip() for value in self._field("content-length").split(",")}
        if other_lengths or coding not in ("", "chunked") or (length and not length.isdecimal()):
            raise AnswerRefused("an answer of unknown length")
        has_body = not self._is_head and self.status not in _NO_BODY
        self.chunked, self.chunk_left = has_body and coding == "chunked", None
        self.length = 0
        if has_body:
            self.length = int(length) if length and not self.chunked else None
        # RFC 9112, section 6.3: an answer with two kinds of length may be an attempt to smuggle another one in.
        has_two_lengths = bool(coding and length)
        self.will_close = minor == b"0" or has_two_lengths or "close" in self._field("connection").lower()

    def body(self, most_bytes: int) -> bytes:
        """Read the body to its end.

        Raises:
            AnswerTooLarge: the body is larger.
            AnswerCompressed: the body of a successful answer is compressed.
            AnswerRefused: the body of another answer is compressed, or malformed.
            BodyLost: the connection ended earlier.
            TimeoutError: the body does not arrive in time.
        """
        content = bytearray()
        try:
            # In pieces: http.client keeps an object for each chunk of what it reads at once.
            while (room := most_bytes + 1 - len(content)) and (piece := self.read(min(_PIECE_BYTES, room))):
                content += piece
        except (TimeoutError, AnswerRefused):
            raise
        except (OSError, http.client.HTTPException) as error:
            raise BodyLost("the connection ended in the middle of the answer") from error
        if self.length and len(content) <= most_bytes:
            raise BodyLost("the connection ended in the middle of the answer")
        # A few compressed bytes could become gigabytes.
        if content and self._field("content-encoding") not in ("", "identity"):
            kind = AnswerCompressed if self.status < 300 else AnswerRefused
            raise kind("a compressed answer, which was not asked for")
        if len(content) > most_bytes:
            raise AnswerTooLarge(f"an answer of more than {most_bytes} bytes")
        return bytes(content)

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        # http.client would read to the end of the connection.
        if size < 0:
            raise AnswerRefused("a chunk of negative length")
        return size

    def _close_conn(self) -> None:
        # What was read too far would be lost, and the bytes after it be taken for the next answer.
        self._bytes.is_over = True
        self.has_rest = bool(self.fp.peek(1))
        super()._close_conn()  # type: ignore[misc]

    def _read_head(self) -> bytes:
        """Read one head. Return the number after `HTTP/1.`."""
        lines = []
        while (line := self.fp.readline(_LINE_BYTES)).strip(b"\r\n"):
            lines.append(line)
            if len(lines) > _MOST_LINES:
                raise AnswerRefused("an answer with too many headers")
        if not line:
            raise http.client.RemoteDisconnected("the connection ended without an answer")
        begin = _STATUS.fullmatch(lines[0] if lines else b"")
        headers = [header for header in map(_HEADER.fullmatch, lines[1:]) if header]
        if begin is None or len(headers) < len(lines) - 1:
            raise AnswerRefused("an answer with a malformed head")
        self.status, self.fields = int(begin[2]), {}
        for header in headers:
            name = header[1].decode("ascii").lower()
            self.fields[name] = (*self.fields.get(name, ()), header[2].decode("latin-1").strip())
        return begin[1]

    def _field(self, name: str) -> str:
        return ", ".join(self.fields.get(name, ()))
