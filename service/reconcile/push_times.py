"""When a tag counts as pushed: by its link in the storage, whatever its push was reported with."""

from service.clock import now_us
from service.domain.retention.ranking import is_believable
from service.domain.retention.state import Tag
from service.registry.client import Standing
from service.store.history import Proof
from service.store.snapshot import Snapshot
from service.wiring import Wiring

# A file system may keep whole seconds only, and an event is sent up to 50 ms before the link is written.
_LATER_US = 2 * 1_000_000
_SKEW_US = 60 * 1_000_000  # between the clocks of this machine and the storage's
_LINK = "counts as pushed when its link in the storage was written"


def sight(wiring: Wiring, snapshot: Snapshot, name: str, standing: Standing, before: Tag | None) -> tuple[Tag, str]:
    """A tag that was not known, or stood elsewhere, and what says when it was pushed, "" for nothing.

    Where the storage is mounted, its link tells. Else nothing does, and once its push cannot be told any more it counts
    by when its image was made; but not where it turned up after the first look at its repository, moved, or stands at
    an image whose push was heard: an old image may have got a new tag. Such a tag is only sighted.
    """
    link_us = _linked_us(wiring, snapshot.repository, name, standing.digest)
    # A tag that was there before pushprune stays one, while it points at the same image.
    found = before.found and before.digest == standing.digest if before else snapshot.compared_us == 0
    if link_us is not None:
        return Tag(name, standing.digest, link_us, standing.size_bytes, found=found), _LINK
    is_new = before is not None or any(known.digest == standing.digest for known in snapshot.tags)
    sighted = is_new or snapshot.compared_us > 0
    return Tag(name, standing.digest, None, standing.size_bytes, sighted=sighted, found=found), ""


def prove(wiring: Wiring, repository: str, tag: Tag, *, is_index: bool) -> Proof:
    """Return what was seen of a live tag; with the time of its link where its push was reported with a later time."""
    link_us = _linked_us(wiring, repository, tag.name, tag.digest)
    is_later = link_us is not None and tag.pushed_us is not None and tag.pushed_us > link_us + _LATER_US
    return Proof(tag, is_index, link_us if is_later else None)


def _linked_us(wiring: Wiring, repository: str, name: str, digest: str) -> int | None:
    """When the tag's link was written (µs); None where nothing says, or what says so is not to be believed.

    A link that stands elsewhere than the registry says is another storage's. One from the future would outrank every
    push that comes, and one from before Docker tells of a clock.
    """
    if wiring.storage is None or wiring.storage.standing(repository, name) != digest:
        return None
    link_us = wiring.storage.pushed_us(repository, name)
    return link_us if is_believable(link_us) and link_us <= now_us() + _SKEW_US else None
