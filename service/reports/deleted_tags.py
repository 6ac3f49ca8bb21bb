"""The tags of a repository that were deleted, by pushprune or another client, with the reason, restorable or not."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from service.domain.history.entry import Deleted, Entry

_DELETES = frozenset({"pruned", "still listed", "delete", "vanished", "lost"})


@dataclass(frozen=True, slots=True)
class DeletedTag:
    """A deletion of a tag, or of a manifest without a tag.

    Attributes:
        tag: "" for a manifest without a tag.
        at_us: the time of the deletion, in µs since the epoch.
        by: the user who deleted it; "" if that was pushprune, or is not known.
        restorable: True if it can still be restored, as far as is known.
    """

    tag: str
    digest: str
    at_us: int
    reason: str
    by: str = ""
    restorable: bool = False


def is_tag_deletion(entry: Entry) -> bool:
    """True if the entry of the history says that a tag was deleted."""
    return bool(entry.tag) and entry.action in _DELETES


def deleted_tags(
    restorable: Iterable[Deleted], entries: Iterable[Entry], live: Collection[str]
) -> tuple[DeletedTag, ...]:
    """Return the deletions of a repository, the latest first.

    Every deletion that can be restored is returned, and the last deletion of each other tag that does not exist.

    Args:
        entries: the history of the repository, newest first.
    """
    deletions = [
        DeletedTag(known.tag, known.digest, known.at_us, known.reason, restorable=True) for known in restorable
    ]
    named = {known.tag for known in deletions}.union(live)
    for entry in filter(is_tag_deletion, entries):
        if entry.tag not in named:
            named.add(entry.tag)
            reason = entry.reason or "deleted outside pushprune"
            deletions.append(DeletedTag(entry.tag, entry.digest, entry.at_us, reason, entry.actor))
    return tuple(sorted(deletions, key=lambda known: (-known.at_us, known.tag)))
