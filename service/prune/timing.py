"""How long it takes from a push until what it pushed out is gone."""

from service.clock import now_us
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_LONGEST_S = 600.0


def time_push_to_gone(wiring: Wiring, snapshot: Snapshot) -> None:
    """Something is gone: the latest push of its repository was its cause, unless that was long ago and age is."""
    latest_us = max((tag.pushed_us or 0 for tag in snapshot.tags if not tag.sighted), default=0)
    taken_s = (now_us() - latest_us) / 1_000_000
    if 0 <= taken_s <= _LONGEST_S:
        wiring.meter.time("push_to_gone", "", taken_s)
