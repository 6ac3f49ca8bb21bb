"""The cheapest way to delete doomed images at the registry: each digest with its tags, or all tags first.

Distribution looks up every tag of the repository for each digest that it deletes (service/README.md, Deleting). To
delete many digests, their tags are deleted first, which costs the same in a repository of any size. The digests are
deleted when the repository has few tags left.
"""

from collections.abc import Sequence

from service.domain.retention.plan import Doomed

# Milliseconds at the registry, measured (service/README.md): only their ratios matter.
# One DELETE by digest, and its extra cost for each tag in the repository.
_DELETE, _DELETE_PER_TAG = 1.0, 0.03
# One DELETE by tag, if the registry supports it.
_DELETE_TAG = 1.3
# One PUT of the tombstone on a tag.
_TOMBSTONE = 2.5
# One conditional HEAD. Before digests without tags are deleted, every remaining tag is checked.
_LOOK = 0.7
_SMALLEST_BATCH, _LARGEST_BATCH = 100, 500
# A batch should not hold the lease to write for longer than this, because a collection waits for it.
BATCH_S = 20.0


def untagged_first(doomed: Sequence[Doomed], tags: int, step: int, *, deletes_tags: bool | None) -> int:
    """Return how many of these images lose their tags before the first digest is deleted: all of them, or some steps.

    Args:
        tags: number of tags in the repository now.
        step: number of images whose tags are removed at a time.
        deletes_tags: True if the registry can delete a tag alone; None if that is not known.
    """
    doomed_tags = sum(len(image.verdicts) for image in doomed)
    digests = sum(1 for image in doomed if not image.only_tags)
    for start in range(0, len(doomed), step):
        if not _is_cheaper(doomed_tags, digests, tags, deletes_tags=deletes_tags):
            return start
        part = doomed[start : start + step]
        removed = sum(len(image.verdicts) for image in part)
        doomed_tags, tags = doomed_tags - removed, tags - removed
        digests -= sum(1 for image in part if not image.only_tags)
    return len(doomed)


def _is_cheaper(doomed_tags: int, digests: int, tags: int, *, deletes_tags: bool | None) -> bool:
    """Return True if it is cheaper to delete the tags of these digests before the first digest."""
    remaining = max(tags - doomed_tags, 0)
    # The repository shrinks during the deletion: on average, half of the doomed tags still exist.
    at_once = digests * _delete(tags - doomed_tags / 2)
    batches = -(-doomed_tags // batch_size(tags, _SMALLEST_BATCH))
    tombstones = doomed_tags * _TOMBSTONE + batches * _delete(tags - doomed_tags / 2)
    untagging = tombstones if deletes_tags is False else doomed_tags * _DELETE_TAG
    return untagging + digests * _delete(remaining) + batches * remaining * _LOOK < at_once


def batch_size(tags: int, at_least: int) -> int:
    """Return how many tags to delete at a time: the more tags there are, the more each DELETE of a digest costs."""
    return max(at_least, min(tags // 10, _LARGEST_BATCH))


def next_size(size: int, took_s: float) -> int:
    """Return how many images to delete next, so that they fit into one batch. The last `size` images took `took_s`.

    One DELETE by digest takes a millisecond in a small repository on a disk, and 22 s among 1,000 tags on object
    storage (measured).
    """
    return max(1, int(size * BATCH_S / max(took_s, 0.001)))


def _delete(tags: float) -> float:
    return _DELETE + _DELETE_PER_TAG * tags
