"""Entries of the history: actions on tags and manifests; their counts, and the deletions that can be undone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Every action that the history records, with its meaning.
ACTIONS = {
    "push": "pushed by a user",
    "delete": "deleted at the registry, and not by pushprune",
    "pruned": "deleted by pushprune",
    "still listed": "deleted by pushprune, and the registry still lists the tag",
    "restored": "restored after a deletion",
    "adopted": "imported from the registry: its push was not reported",
    "vanished": "missing at the registry, although no deletion was reported",
    "rescued": "no longer to be deleted, because it was pushed again",
    "healed": "restored: a deletion had removed it during its push",
    "lost": "deleted although it was pushed at that moment, and not restored",
    "dated": "the creation date of an image was read",
    "approved": "a plan was approved",
    "refused": "a plan was rejected",
    "protected": "a user protected images from deletion for a while",
    "unprotected": "a user ended the protection of images",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the history.

    Attributes:
        id: the id in the Redis stream, which begins with the time of arrival in ms.
        at_us: the time of the action, in µs since the epoch.
        media_type: of the manifest that was pushed or imported; "" if it was not recorded, and for other actions.
    """

    id: str
    repository: str
    action: str
    tag: str
    digest: str
    size_bytes: int
    actor: str
    useragent: str
    address: str
    at_us: int
    reason: str
    rule: str
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class EventCount:
    """Counts of actions per period.

    Attributes:
        counts: start of a period (ms) → action → number.
        is_whole: False if the history was too long to be read completely.
    """

    counts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    is_whole: bool = True


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
