"""The fixtures of a whole system in one process, of the history over Redis, and of the HTTP edge."""

from tests.settings.conftest import load, refuse, write
from tests.support.edge import edge, no_redis, redis_server, serve
from tests.support.lease import leases
from tests.support.record import history
from tests.support.system import make_system, old_pushes, on_disk, short_pauses, whole_listings

__all__ = [
    "edge", "history", "leases", "load", "make_system", "no_redis", "old_pushes", "on_disk",
    "redis_server", "refuse", "serve", "short_pauses", "whole_listings", "write",
]  # fmt: skip
