"""A system with at least one of everything, so that every metric exists."""

from service.domain.usage import Usage
from tests.support.edge import Edge
from tests.support.makers import event


def fill(edge: Edge) -> None:
    """A system with at least one of everything, so that every figure exists."""
    edge.heard(event(tag="v0"), event())
    edge.redis.xtrim(edge.store.connection.keys.of("events"), maxlen=1, approximate=False)
    edge.store.usage.note(Usage(1_700_000_000_000, 9, {"shop": 7}, shared_bytes=2), hourly=True)
    of = edge.store.connection.keys.of
    last = {
        "at_ms": 1_700_000_000_000, "took_ms": 2000, "reason": "schedule", "whole": 1, "repositories": 5, "tags": 9,
        "changed": 3, "failed": 1, "catalog": "", "message": "",
    }  # fmt: skip
    edge.redis.hset(of("reconcile:last"), mapping=last)
    edge.redis.hset(of("gc:totals"), mapping={"runs done": 1, "done_ms": 1_700_000_000_000, "took_ms": 1000})
    edge.redis.hset(of("counters"), mapping={"rule last": 1})
