"""A deletion that can still be undone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deletion by pushprune that can still be undone. Times are in µs since the epoch.

    Attributes:
        tag: the deleted tag; "" for a manifest without a tag.
        pushed_us: the last push of the tag; None if it is not known.
        at_us: the deletion; for an overwritten tag, the time at which the tag moved to another image.
        left: True if the tag was overwritten: the image was not deleted, but the tag points at another image now.
    """

    tag: str
    digest: str
    pushed_us: int | None
    at_us: int
    size_bytes: int
    reason: str
    left: bool = False
