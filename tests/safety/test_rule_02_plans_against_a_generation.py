"""Safety rule 2: a plan commits only against the state that it was made from, and a push rescues what is doomed."""

from service.domain.retention.plan import Plan
from service.prune import deleting, planning
from service.store.connection import Connection
from service.store.history import CommitResult, History
from service.store.keys import short
from tests.conftest import keep_last
from tests.support.record import digest, event, record
from tests.support.system import Make


def test_a_pushed_digest_that_was_doomed_is_rescued_in_the_same_call(history: History, connection: Connection) -> None:
    doomed = connection.keys.of("doomed", "shop/api")
    connection.client.hset(doomed, short(digest(1)), "{}")
    connection.client.zadd(connection.keys.of("doomed"), {"shop/api": 1})
    record(history, event(5, tag="other", seed=1))
    assert not connection.client.exists(doomed)
    assert connection.client.zcard(connection.keys.of("doomed")) == 0
    assert "rescued" in [entry.action for entry in history.entries("shop/api")]


def test_a_rescue_by_digest_alone_has_the_repository_planned_again(history: History, connection: Connection) -> None:
    record(history, event(1))
    history.commit(history.snapshot("shop/api"), Plan(), "none")
    connection.client.hset(connection.keys.of("doomed", "shop/api"), short(digest(1)), "{}")
    assert record(history, event(5, tag=None, seed=1)) == ("shop/api",)


def test_a_generation_from_before_a_wiped_redis_never_comes_again(history: History, connection: Connection) -> None:
    for number in range(5):
        record(history, event(number))
    before = history.snapshot("shop/api")
    connection.client.delete(*connection.client.keys(f"{connection.keys.prefix}*"))
    for number in range(10, 20):
        record(history, event(number))
        assert history.snapshot("shop/api").generation != before.generation


def test_a_plan_commits_only_against_the_state_it_was_made_from(history: History, connection: Connection) -> None:
    record(history, event(1))
    before = history.snapshot("shop/api")
    record(history, event(2, tag="v2"))
    assert history.commit(before, Plan(), "none") is CommitResult.STALE
    assert connection.client.zscore(connection.keys.of("due"), "shop/api") is not None
    assert history.commit(history.snapshot("shop/api"), Plan(), "none") is CommitResult.COMMITTED
    assert connection.client.zscore(connection.keys.of("due"), "shop/api") is None


def test_a_push_between_plan_and_commit_means_plan_again(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2")
    system.settle()
    system.push("v3")
    system.registry.before("GET", "tags/list", lambda: system.push("v1"), times=1)
    system.settle()
    assert system.tags() == {"v1", "v3"}


def test_a_doomed_digest_that_is_pushed_again_is_rescued(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2", "v3")
    planning.enforce(system.wiring, "shop/api")
    assert len(system.store.history.doomed("shop/api")) == 1
    system.push("v1")
    deleting.delete(system.wiring, "shop/api")
    assert "v1" in system.tags()
    system.settle()
    assert system.tags() == {"v1", "v3"}
