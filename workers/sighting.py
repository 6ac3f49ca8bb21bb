"""When a tag whose push nobody heard counts as pushed."""

from dataclasses import dataclass

from service.clock import now_us
from service.domain.state import Tag
from service.registry.client import Standing
from service.store.snapshot import Snapshot
from service.wiring import Wiring
from workers import creation

FIRST_SEEN = "counts as pushed when it was first seen"


@dataclass(frozen=True, slots=True)
class Sighting:
    """pushed_us: what counts as its push; None where that is looked up once something depends on it. how: in words."""

    pushed_us: int | None
    how: str = ""


def sight(wiring: Wiring, snapshot: Snapshot, name: str, standing: Standing, before: Tag | None) -> Sighting:
    """The sighting of a tag that was not known, or stood elsewhere.

    Where the storage is mounted, its link tells. At the first look at a repository nothing but the image can. After
    that its push came since the last complete look, and since what it stands at, or stood at, was pushed: an image that
    is older says nothing, and the tag counts from now on, so that it is not deleted because somebody gave an old image
    a new tag unheard.

    Raises RegistryUnavailable or RegistryRefused where the image could not be asked.
    """
    link_us = wiring.storage.pushed_us(snapshot.repository, name) if wiring.storage else None
    if link_us is not None:
        return Sighting(link_us, "counts as pushed when its link in the storage was written")
    heard = [tag.pushed_us or 0 for tag in snapshot.tags if tag is before or tag.digest == standing.digest]
    since_us = max(snapshot.compared_us, *heard, 0)
    if not since_us:
        return Sighting(None)
    created_us, seen_us = creation.created_us(wiring, snapshot.repository, standing.digest), now_us()
    if since_us < created_us <= seen_us:
        return Sighting(created_us, "counts as pushed when its image was made")
    return Sighting(seen_us, FIRST_SEEN)
