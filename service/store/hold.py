"""A plan that waits for approval."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that waits. reason: one sentence; at_us: since when; digests: what it would delete."""

    repository: str
    reason: str
    at_us: int
    digests: tuple[str, ...]


def unpack_hold(repository: str, text: str) -> Hold:
    packed = json.loads(text)
    return Hold(repository, packed["reason"], int(packed["at_us"]), tuple(packed["digests"]))
