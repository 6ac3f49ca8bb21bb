"""Pack the values of live:R and unpack them again, as keys.py describes them. lib/live.lua does so, too.

The flat form of a value is "<short digest> <size>[!] <actor>", with the name of the actor. Backups have this form, and
live:R had it in version 1 of the schema. A value of another form raises ValueError, so that nothing is deleted because
of it.
"""

import base64
import re
from collections.abc import Callable, Mapping

from service.domain.oci.names import is_digest
from service.domain.retention.state import Tag
from service.store.dictionary import packed_name
from service.store.keys import FOUND, FOUND_AND_UNANNOUNCED, UNANNOUNCED, long, short

_PACKED = re.compile(rb"(#.{32}|[^# :]+:[^ ]+ )(\d+)([!:])(\d*|[?=].*)", re.DOTALL)
# Not \d, which also is a digit of another script; _PACKED, which has bytes, would not match it. Python refuses to read
# thousands of digits.
_FLAT = re.compile(r"([^ ]+) ([0-9]{1,30})(!?) (.*)", re.DOTALL)
# Behind the size of a tag whose manifest a worker has seen, and of others.
_PROVED, _NOT_PROVED = b"!", b":"
# Instead of an actor → whether the tag is only unannounced, and found.
_MARKS = {UNANNOUNCED: (True, False), FOUND: (False, True), FOUND_AND_UNANNOUNCED: (True, True)}


def pack_actor(tag: Tag) -> str:
    """Return the actor in live:R of a tag whose push was not reported."""
    if tag.found:
        return FOUND_AND_UNANNOUNCED if tag.unannounced else FOUND
    return UNANNOUNCED if tag.unannounced else ""


def pack_digest(digest: str) -> bytes:
    """Return a digest as a value of live:R begins with it."""
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256" or len(hexadecimal) != 64:
        return f"{digest} ".encode()
    return b"#" + bytes.fromhex(hexadecimal)


def unpack_digest(packed: bytes) -> str:
    """Return the digest in a value of live:R."""
    return _digest(_parts(packed)[0])


def short_in(packed: bytes) -> str:
    """Return the short digest in a value of live:R, which is not checked."""
    if packed.startswith(b"#"):
        return base64.urlsafe_b64encode(packed[1:33])[:43].decode()
    return packed.partition(b" ")[0].decode()


def unpack_live(
    name: str,
    packed: bytes,
    name_of: Callable[[str], str],
    pushed_us: int | None = None,
    pulled_us: int | None = None,
    created_us: int | None = None,
) -> Tag:
    """Return the live tag behind its value in live:R, with these times. name_of: returns the name behind a number."""
    digest, size, mark, packed_actor = _parts(packed)
    actor, is_proved = packed_actor.decode(), mark == _PROVED
    marks = _MARKS.get(actor)
    pushed_by = "" if marks else name_of(actor)
    unannounced, is_found = marks or (False, False)
    return Tag(
        name, _digest(digest), pushed_us, int(size), pushed_by, pulled_us, created_us, unannounced, is_found, is_proved
    )


def flat_live(packed: bytes, name_of: Callable[[str], str]) -> str:
    """Return the flat form of a value of live:R."""
    digest, size, mark, packed_actor = _parts(packed)
    actor, proved = packed_actor.decode(), "!" if mark == _PROVED else ""
    return f"{short(_digest(digest))} {size.decode()}{proved} {actor if actor in _MARKS else name_of(actor)}"


def packed_live(flat: str, numbers: Mapping[str, int]) -> bytes:
    """Return the value of live:R behind its flat form. numbers: of names in `dictionary`."""
    match = _FLAT.fullmatch(flat)
    digest = long(match[1]) if match else ""
    if match is None or not is_digest(digest):
        raise ValueError(f"{flat[:100]!r} is no value of live:R")
    _, size, proved, name = match.groups()
    actor = name if name in _MARKS else packed_name(name, numbers)
    return pack_digest(digest) + size.encode() + (_PROVED if proved else _NOT_PROVED) + actor.encode()


def user_in(flat: str) -> str:
    """Return the name of the user in the flat form of a value; "" if it has none."""
    actor = flat.split(" ", 2)[2]
    return "" if actor in _MARKS else actor


def _parts(packed: bytes) -> tuple[bytes, ...]:
    """Return the digest of a value, its size, its mark and its actor."""
    match = _PACKED.fullmatch(packed)
    if match is None:
        raise ValueError(f"live:R has a value of another schema: {packed[:100]!r}")
    return match.groups()


def _digest(packed: bytes) -> str:
    return f"sha256:{packed[1:].hex()}" if packed.startswith(b"#") else packed[:-1].decode()
