"""One garbage collection, as it is recorded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One collection. result: done | failed | put off. Times in ms; marked, blobs, manifests are counts.

    bytes_freed: None where the storage is not mounted. message: one sentence when something went wrong.
    """

    started_ms: int
    ended_ms: int
    result: str
    reason: str
    exit_code: int | None = None
    marked: int = 0
    blobs: int = 0
    manifests: int = 0
    bytes_freed: int | None = None
    message: str = ""
