"""The transcript: aligned names, whole lines, nothing that a child prints can disturb the terminal."""

import io
import os

from service.local.transcript import LONGEST_LINE_BYTES, Transcript


def relayed(content: bytes, **options: bool) -> list[str]:
    out = io.StringIO()
    Transcript(out, speakers=("web",), **options).relay(io.BytesIO(content), "web")
    return out.getvalue().splitlines()


def test_names_are_aligned() -> None:
    out = io.StringIO()
    transcript = Transcript(out, speakers=("redis", "a-long-speaker"))
    transcript.say("ready")
    transcript.say("one\ntwo", "redis")
    assert out.getvalue().splitlines() == ["pushprune      | ready", "redis          | one", "redis          | two"]


def test_names_are_coloured_on_a_terminal_only() -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal:
        Transcript(terminal, speakers=("web",)).say("hello", "web")
        assert os.read(leader, 100).startswith(b"\x1b[33mweb       | \x1b[0mhello")
    os.close(leader)
    assert relayed(b"hello\n") == ["web       | hello"]


def test_the_last_line_needs_no_end() -> None:
    assert relayed(b"one\ntwo") == ["web       | one", "web       | two"]


def test_characters_that_would_move_the_cursor_are_escaped() -> None:
    assert relayed(b"a\rb\x07\xff\n") == ["web       | a\\rb\\x07\N{REPLACEMENT CHARACTER}"]


def test_an_endless_line_is_cut_into_pieces() -> None:
    lines = relayed(b"x" * (2 * LONGEST_LINE_BYTES) + b"\n")
    assert max(map(len, lines)) <= LONGEST_LINE_BYTES + 20


def test_a_reader_that_went_away_stops_nothing() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w", buffering=1) as out:
        transcript = Transcript(out)
        transcript.say("nobody reads this")
        transcript.say("nor this")
        os.dup2(os.open(os.devnull, os.O_WRONLY), write_end)
