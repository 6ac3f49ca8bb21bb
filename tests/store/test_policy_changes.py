"""The record of a comparison of policies."""

from service.domain.retention.change import Change
from service.store.connection import Connection
from service.store.outbox import Outbox
from service.store.policy_changes import PolicyChanges

LIFE_S = 15 * 60


def test_a_comparison_that_no_worker_continues_ends_after_15_minutes(connection: Connection) -> None:
    changes, part = PolicyChanges(connection, Outbox(connection)), Change(("shop/api",), 2, 3)
    keys = [connection.keys.of(name) for name in ("policy:comparison", "policy:removes")]
    changes.note_comparison("sha256:new", "shop/api", part, part)
    assert changes.comparison("sha256:new") == ("shop/api", part)
    assert all(0 < connection.client.ttl(key) <= LIFE_S for key in keys)
    for key in keys:
        connection.client.persist(key)
    changes.mark_due_until("sha256:new", ["shop/api"])
    assert 0 < connection.client.ttl(keys[0]) <= LIFE_S
