"""Measure the time from a push to the deletion of the images that it replaced."""

from service.clock import now_us
from service.store import Store
from service.store.snapshot import Snapshot

_LONGEST_S = 600.0


def time_push_to_gone(store: Store, snapshot: Snapshot) -> None:
    """Measure the time since the latest push to the repository, which caused this deletion.

    A push more than 600 s ago is not the cause: the image was deleted because of its age.
    """
    latest_us = max((tag.pushed_us or 0 for tag in snapshot.tags if not tag.sighted), default=0)
    taken_s = (now_us() - latest_us) / 1_000_000
    if 0 <= taken_s <= _LONGEST_S:
        store.meter.time("push_to_gone", "", taken_s)
