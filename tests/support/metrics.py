"""Makers for tests of metrics."""

from tests.support.edge import Edge
from tests.support.makers import event


def fill(edge: Edge) -> None:
    """Something of everything, so that every figure is there."""
    edge.heard(event())
    of = edge.store.connection.keys.of
    last = {
        "at_ms": 1_700_000_000_000, "took_ms": 2000, "reason": "schedule", "whole": 1, "repositories": 5, "tags": 9,
        "changed": 3, "failed": 1, "catalog": "", "message": "",
    }  # fmt: skip
    edge.redis.hset(of("reconcile:last"), mapping=last)
    edge.redis.hset(of("gc:totals"), mapping={"runs done": 1, "done_ms": 1_700_000_000_000, "took_ms": 1000})
    edge.redis.hset(of("counters"), mapping={"rule last": 1})
