"""A deletion of ours that may still be undone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deletion of ours that may still be undone. tag: "" for a manifest that had none. Times in µs since the epoch.

    pushed_us: the last push of the tag; None when nobody saw it. left: the image was not deleted, the tag has only left
    it for another; at_us is when it came there.
    """

    tag: str
    digest: str
    pushed_us: int | None
    at_us: int
    size_bytes: int
    reason: str
    left: bool = False
