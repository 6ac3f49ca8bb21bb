"""Check each value of a backup before it is imported, because pushprune relies on valid values in Redis."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar

from service.domain.oci.names import is_digest, is_repository, is_tag
from service.domain.retention.plan import Rejection
from service.store.approvals import unpack_hold
from service.store.backup import SAVED, SavedValue
from service.store.collection_runs import NUMBERS_OF_RUN
from service.store.collections import unpack_rehearsal
from service.store.garbage import unpack_garbage
from service.store.keys import long
from service.store.live_tags import packed_live
from service.store.outbox import Trouble
from service.store.packing import (
    unpack_doomed,
    unpack_entry,
    unpack_layers,
    unpack_links,
    unpack_revisions,
    unpack_untagged,
)

T = TypeVar("T")

_ID = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)
# The scripts compute with these numbers, as floating-point numbers.
_LARGEST = 1 << 53
# Behind the end of the year 9999 (µs). An image may say that it was created then.
_LATEST_US = 10**18
# For Redis, larger numbers are infinite.
_LARGEST_SCORE = 1e300
_INFINITE = ("inf", "-inf")
# Kinds of values that are one part of a key of all repositories.
_OF_EACH = ("field", "score", "member", "scores")


def check_value(saved: SavedValue) -> None:
    """Raise ValueError, with the fault, if this value cannot be imported."""
    kind = SAVED.get(saved.key)
    if kind is None:
        raise ValueError(f"{saved.key.removesuffix(':R')[:50]!r} is no key of a backup")
    numbers = _is_number(saved.expires_ms) and _is_number(saved.added)
    if not numbers or {type(saved.repository), type(saved.id)} != {str}:
        raise ValueError("expires_ms and added are numbers, a repository and an id are texts")
    # They would hold for all repositories, and for a key of another type.
    if (saved.expires_ms and kind in _OF_EACH) or (saved.added and kind != "stream"):
        raise ValueError(f"a value of {saved.key.removesuffix(':R')} has no expires_ms and no added")
    of_one = saved.key.endswith(":R") or kind in _OF_EACH
    if of_one != is_repository(saved.repository):
        raise ValueError(f"{saved.repository[:100]!r} is no repository" if of_one else "it belongs to no repository")
    _check_kind(kind, saved)
    if check := _CHECKS.get(saved.key):
        for name, value in saved.value.items() if isinstance(saved.value, Mapping) else (("", saved.value),):
            try:
                check(name, value)
            except Exception as error:
                raise ValueError(f"{name[:100]!r} of {saved.repository or saved.key} cannot be read") from error


def entry_id(text: str) -> tuple[int, int]:
    """Return the two parts of the id of an entry. Raises ValueError if the text is none."""
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:50]!r} is no id of an entry")
    parts = int(match[1]), int(match[2])
    if parts == (0, 0):
        raise ValueError("0-0 is no id of an entry")
    return parts


def _check_kind(kind: str, saved: SavedValue) -> None:
    value = saved.value
    if kind == "stream":
        if saved.added:
            return
        entry_id(saved.id)
        if not _is_mapping(value, str) or not value:
            raise ValueError("the value of an entry is an object of texts")
        if saved.key in ("history:R", "events"):
            unpack_entry(saved.id, value, saved.repository)
    elif kind in ("zset", "scores"):
        if not isinstance(value, dict) or not value or not all(map(_is_score, value.values())):
            raise ValueError("its value is an object of numbers")
    elif kind == "hash":
        if not _is_mapping(value, str) or not value:
            raise ValueError("its value is an object of texts")
    elif kind == "score":
        if not _is_score(value):
            raise ValueError("its value is a number")
    elif not isinstance(value, str):
        raise ValueError("its value is a text")


def _is_mapping(value: object, of: type[T]) -> TypeGuard[dict[str, T]]:
    return isinstance(value, dict) and all(isinstance(member, of) for member in value.values())


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_score(value: object) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) < _LARGEST_SCORE
    return value in _INFINITE


def _check_manifest(digest: str, text: str) -> None:
    kept = json.loads(text)
    content, _ = base64.b64decode(kept["content"], validate=True), int(kept["at_us"])
    algorithm, _, hexadecimal = digest.partition(":")
    if not isinstance(kept["media_type"], str) or not is_digest(digest):
        raise ValueError(digest)
    # The registry would refuse these bytes under this digest.
    if algorithm == "sha256" and hashlib.sha256(content).hexdigest() != hexadecimal:
        raise ValueError(digest)


def _check_deleted(field: str, text: str) -> None:
    short, pushed_us, at_us, size, _ = text.split(" ", 4)
    tag, _, digest = field.rpartition(" ")
    if long(digest.removeprefix("@")) != long(short) or not (tag == "" or is_tag(tag)):
        raise ValueError(field)
    _ = int(pushed_us), int(at_us), int(size)


def _check_live(tag: str, text: str) -> None:
    if not is_tag(tag):
        raise ValueError(tag)
    packed_live(text, {})


def _check_tag(tag: str, pushed_us: Any) -> None:
    if not is_tag(tag) or not _is_number(pushed_us):
        raise ValueError(tag)


def _check_number(_: str, text: str) -> None:
    if not _is_number(int(text)):
        raise ValueError(text)


def _check_created(_: str, text: str) -> None:
    if not 0 <= int(text) < _LATEST_US:
        raise ValueError(text)


def _check_amounts(_: str, text: str) -> None:
    # Manifests may state any size of a blob, and two of them different ones: a sum is not limited, and may be negative.
    for word in text.split(" ")[:2]:
        if abs(int(word)) >= _LARGEST_SCORE:
            raise ValueError(text)


def _check_trouble(_: str, text: str) -> None:
    trouble = Trouble("", **json.loads(text))
    if not isinstance(trouble.message, str) or not _is_number(trouble.at_ms):
        raise ValueError(text)


def _check_run(field: str, text: str) -> None:
    # Every page and metric of collections reads all runs.
    if text and field in NUMBERS_OF_RUN and abs(int(text)) >= _LARGEST:
        raise ValueError(text)


_CHECKS: Mapping[str, Callable[[str, Any], object]] = {
    "generation": _check_number,
    "counters": _check_number,
    "usage:now": _check_amounts,
    "gc:totals": _check_number,
    "gc:runs": _check_run,
    "gc:garbage": lambda _, text: unpack_garbage(text),
    "gc:rehearsal": lambda _, text: unpack_rehearsal(text),
    "compared": lambda _, text: int(text.split(" ")[1]),
    "planned": lambda _, text: int(text),
    "unapproved": lambda _, text: int(text.split(" ")[0]),
    "sizes": _check_amounts,
    "tags:R": _check_tag,
    "live:R": _check_live,
    "untagged:R": unpack_untagged,
    "revisions:R": lambda _, text: unpack_revisions(text),
    "created:R": _check_created,
    "layers:R": lambda _, text: unpack_layers(text),
    "links:R": lambda _, text: unpack_links(text),
    "dry_run:R": lambda _, text: unpack_doomed(text),
    "hold:R": lambda _, text: unpack_hold("", text),
    "rejection:R": lambda _, text: Rejection(**json.loads(text)),
    "troubles": _check_trouble,
    "trash:R": _check_manifest,
    "deleted:R": _check_deleted,
}
