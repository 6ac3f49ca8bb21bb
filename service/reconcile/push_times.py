"""Determine push times by the links in the storage, which outrank the reported times."""

from service.clock import now_us
from service.domain.retention.ranking import is_believable
from service.domain.retention.state import Tag
from service.registry import Registry
from service.registry.manifest import ManifestHead
from service.store.facts import Proof
from service.store.snapshot import Snapshot

# A file system may keep whole seconds only, and an event is sent up to 50 ms before the link is written.
_LATER_US = 2 * 1_000_000
# The clocks of this machine and of the storage may differ by this much.
_SKEW_US = 60 * 1_000_000
_LINK = "counts as pushed when its link in the storage was written"


def infer_push_time(
    registry: Registry,
    snapshot: Snapshot,
    name: str,
    current: ManifestHead,
    before: Tag | None,
    size_bytes: int = 0,
    *,
    is_own: bool = False,
) -> tuple[Tag, str]:
    """Return a tag that was unknown or has moved, and the source of its push time, "" if unknown.

    If the storage is mounted, the link of the tag gives the time. Else the time is unknown; once its push can no longer
    be reported, the tag counts by the creation date of its image. A tag is only unannounced, without any date, if it
    appeared after the first comparison of its repository, moved, or points at a known image: an old image may have
    got a new tag.

    Args:
        before: the tag as the history knows it; None if it is unknown.
        size_bytes: of the image, if its manifest was read; 0 if it was not.
        is_own: True if pushprune itself has put the tag there. Its link then does not show when a user pushed it.
    """
    link_us = None if is_own else _linked_us(registry, snapshot.repository, name, current.digest)
    # A tag that is older than pushprune keeps that mark while it points at the same image.
    predates = before.found and before.digest == current.digest if before else snapshot.compared_us == 0
    # While the first clean-up waits, a reported deletion or move may be forged: its tag may have been there before.
    first = snapshot.unapproved
    predates = predates or (first is not None and first.is_first and (link_us or 0) <= first.since_us)
    if before and before.digest == current.digest:
        size_bytes = size_bytes or before.size_bytes
    if link_us is not None:
        return Tag(name, current.digest, link_us, size_bytes, found=predates), _LINK
    is_new = before is not None or any(known.digest == current.digest for known in snapshot.tags)
    unannounced = is_new or snapshot.compared_us > 0
    return Tag(name, current.digest, None, size_bytes, unannounced=unannounced, found=predates), ""


def prove(registry: Registry, repository: str, tag: Tag, *, is_index: bool) -> Proof:
    """Return the proof of a live tag, with the time of its link if its push was reported with a later time."""
    link_us = _linked_us(registry, repository, tag.name, tag.digest)
    is_later = link_us is not None and tag.pushed_us is not None and tag.pushed_us > link_us + _LATER_US
    return Proof(tag, is_index, link_us if is_later else None)


def _linked_us(registry: Registry, repository: str, name: str, digest: str) -> int | None:
    """Return the time at which the link of the tag was written (µs); None if unknown or not believable."""
    # A link that disagrees with the registry belongs to another storage.
    if registry.storage is None or registry.storage.digest_of(repository, name) != digest:
        return None
    link_us = registry.storage.pushed_us(repository, name)
    # A link from the future would outrank every later push, and one from before Docker shows a wrong clock.
    return link_us if is_believable(link_us) and link_us <= now_us() + _SKEW_US else None
