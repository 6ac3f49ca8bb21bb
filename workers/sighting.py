"""When a tag whose push nobody heard counts as pushed."""

from service.domain.state import Tag
from service.registry.client import Standing
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_LINK = "counts as pushed when its link in the storage was written"


def sight(wiring: Wiring, snapshot: Snapshot, name: str, standing: Standing, before: Tag | None) -> tuple[Tag, str]:
    """A tag that was not known, or stood elsewhere, and what says when it was pushed, "" for nothing.

    Where the storage is mounted, its link tells. Else nothing does, and once its push cannot be told any more it counts
    by when its image was made; but not where it turned up after the first look at its repository, moved, or stands at
    an image whose push was heard: an old image may have got a new tag. Such a tag is only sighted.
    """
    link_us = wiring.storage.pushed_us(snapshot.repository, name) if wiring.storage else None
    if link_us is not None:
        return Tag(name, standing.digest, link_us, standing.size_bytes), _LINK
    is_new = before is not None or any(known.digest == standing.digest for known in snapshot.tags)
    sighted = is_new or snapshot.compared_us > 0
    return Tag(name, standing.digest, None, standing.size_bytes, sighted=sighted), ""
