"""How doomed tags are taken down at the least cost to the registry: each digest at once, or all tags first.

Distribution looks up every tag of the repository for each digest that it deletes (FACTS, Deleting). Where many digests
go, their tags are taken off first, which costs the same in a repository of any size, and the digests are deleted once
the repository is small.
"""

from collections.abc import Sequence

from service.domain.retention.plan import Doomed

# Milliseconds at the registry, measured (FACTS): only their ratios matter.
_DELETE, _DELETE_PER_TAG = 1.0, 0.03  # one DELETE by digest, and more of it for each tag in the repository
_DELETE_TAG = 1.3  # one DELETE by tag, where the registry has it
_TOMBSTONE = 2.5  # one PUT of the tombstone on a tag
_LOOK = 0.7  # one conditional HEAD: before digests without tags go, every tag that is left is looked at
_SMALLEST_BATCH, _LARGEST_BATCH = 100, 500
# No longer than this a batch should hold the right to write, for which a collection waits.
_BATCH_S = 20.0


def tags_first(doomed: Sequence[Doomed], tags: int, *, deletes_tags: bool | None) -> bool:
    """Whether the tags of these digests are better taken off before the first digest is deleted.

    tags: how many the repository has now. deletes_tags: whether the registry deletes a tag alone; None: nobody knows.
    """
    going = sum(len(one.tags) for one in doomed)
    digests = sum(1 for one in doomed if not one.only_tags)
    left = max(tags - going, 0)
    at_once = digests * _delete(tags - going / 2)
    batches = -(-going // batch_size(tags, _SMALLEST_BATCH))
    tombstones = going * _TOMBSTONE + batches * _delete(tags - going / 2)
    off = tombstones if deletes_tags is False else going * _DELETE_TAG
    return off + digests * _delete(left) + batches * left * _LOOK < at_once


def batch_size(tags: int, at_least: int) -> int:
    """How many tags are taken off together: the more tags there are, the more it costs to end a batch."""
    return max(at_least, min(tags // 10, _LARGEST_BATCH))


def next_size(size: int, took_s: float) -> int:
    """Return how many digests to delete next, after so many took so long: as many as fit into one batch.

    One DELETE by digest takes a millisecond in a small repository on a disk, and 22 s among 1,000 tags on object
    storage (measured).
    """
    return max(1, int(size * _BATCH_S / max(took_s, 0.001)))


def _delete(tags: float) -> float:
    return _DELETE + _DELETE_PER_TAG * tags
