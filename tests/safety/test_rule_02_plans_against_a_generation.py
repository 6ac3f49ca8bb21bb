"""Safety rule 2: a plan commits only against the state that it was made from, and a push rescues a doomed image."""

from collections.abc import Callable

import pytest

from service.domain.events import Event
from service.domain.oci.manifest import OCI_INDEX, References
from service.domain.policy.model import Policy
from service.domain.retention.plan import Plan
from service.prune import deleting, planning, protecting
from service.reconcile import compare
from service.store.connection import Connection
from service.store.history import CommitResult, History
from service.store.keys import short
from service.store.remembered_tags import RememberedTags
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.pushes import put
from tests.support.record import digest, event, record, user_delete
from tests.support.system import SHOP, Make, System, doomed_system


def test_a_pushed_digest_that_was_doomed_is_rescued_in_the_same_call(history: History, connection: Connection) -> None:
    doomed = connection.keys.of("doomed", "shop/api")
    connection.client.hset(doomed, short(digest(1)), "{}")
    connection.client.zadd(connection.keys.of("doomed"), {"shop/api": 1})
    record(history, event(5, tag="other", seed=1))
    assert not connection.client.exists(doomed)
    assert connection.client.zcard(connection.keys.of("doomed")) == 0
    assert "rescued" in [entry.action for entry in history.entries("shop/api")]


def test_a_pushed_index_drops_the_plan_because_it_may_list_what_is_doomed(make_system: Make) -> None:
    system = doomed_system(make_system)
    put(system, "multi", index_over([make_image("shop/api:v1")]))
    assert system.store.history.doomed(SHOP) == ()


def test_a_rescue_by_digest_alone_has_the_repository_planned_again(history: History, connection: Connection) -> None:
    record(history, event(1))
    history.commit(history.snapshot("shop/api"), Plan(), "none")
    connection.client.hset(connection.keys.of("doomed", "shop/api"), short(digest(1)), "{}")
    assert record(history, event(5, tag=None, seed=1)) == ("shop/api",)


def test_no_generation_from_before_a_loss_of_redis_is_used_again(history: History, connection: Connection) -> None:
    for number in range(5):
        record(history, event(number))
    before = history.snapshot("shop/api")
    connection.client.delete(*connection.client.keys(f"{connection.keys.prefix}*"))
    for number in range(10, 20):
        record(history, event(number))
        assert history.snapshot("shop/api").generation != before.generation


@pytest.mark.parametrize(
    ("change", "is_pushes"),
    [
        pytest.param([event(2, tag="v2", seed=2), event(3, tag="v1", seed=3)], True, id="pushes of images"),
        pytest.param([event(2, tag="v2", seed=2), user_delete(3, "v1")], False, id="a delete"),
        pytest.param([event(0, tag="v1", seed=2)], False, id="a late push of a tag"),
        pytest.param([event(2, tag="v2", seed=2, instance="i2")], False, id="a push after a restart of the registry"),
        pytest.param([event(n, tag=f"v{n}", seed=n) for n in range(2, 300)], False, id="more than are noted"),
    ],
)
def test_only_pushes_that_were_all_noted_can_leave_a_plan_valid(
    history: History, change: list[Event], is_pushes: bool
) -> None:
    record(history, event(1))
    before = history.snapshot("shop/api")
    assert history.pushes_since(before) is None
    record(history, *change)
    since = history.pushes_since(before)
    assert (since is not None) is is_pushes
    if since:
        assert [(push.tag, push.digest) for push in since.pushes] == [("v2", digest(2)), ("v1", digest(3))]
        assert since.generation == history.snapshot("shop/api").generation


def test_the_references_of_an_index_that_was_pushed_since_are_unknown(history: History) -> None:
    record(history, event(1))
    before = history.snapshot("shop/api")
    record(history, event(2, tag=None, seed=2), event(3, tag="v2", seed=3, media_type=OCI_INDEX))
    since = history.pushes_since(before)
    assert since
    assert [push.references for push in since.pushes] == [References(), None]


def test_an_index_that_was_deleted_before_its_push_was_reported_leaves_no_plan_valid(history: History) -> None:
    record(history, event(1))
    record(history, event(5, "delete", None, seed=3, media_type=""))
    before = history.snapshot("shop/api")
    record(history, event(3, tag="v2", seed=3, media_type=OCI_INDEX))
    assert history.pushes_since(before) is None


def test_a_plan_commits_only_against_the_state_it_was_made_from(history: History, connection: Connection) -> None:
    record(history, event(1))
    before = history.snapshot("shop/api")
    record(history, event(2, tag="v2"))
    assert history.commit(before, Plan(), "none") is CommitResult.STALE
    assert connection.client.zscore(connection.keys.of("due"), "shop/api") is not None
    assert history.commit(history.snapshot("shop/api"), Plan(), "none") is CommitResult.COMMITTED
    assert connection.client.zscore(connection.keys.of("due"), "shop/api") is None


def test_a_repository_is_planned_again_after_a_push_between_plan_and_commit(make_system: Make) -> None:
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


def test_a_push_to_a_full_repository_of_settled_tags_deletes_the_oldest(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.store.history._remembered = RememberedTags(least_tags=0)
    system.push("v1", "v2")
    system.settle()
    for new, kept in (("v3", {"v2", "v3"}), ("v4", {"v3", "v4"})):
        system.push(new)
        remembered = system.store.history.snapshot(SHOP).remembered
        assert remembered
        assert remembered.memory.settled
        assert remembered.memory.settled.tags.keys() - remembered.changed
        system.settle()
        assert system.tags() == kept


@pytest.mark.slow
@pytest.mark.parametrize("is_multi_arch", [False, True])
def test_a_repository_that_is_pushed_to_faster_than_it_is_planned_is_pruned(
    make_system: Make, is_multi_arch: bool
) -> None:
    """Every commit was refused before, so that a busy repository was never pruned."""
    system = make_system(keep_last(2))
    system.push("v1", "v2", "latest")
    system.settle()
    system.push("v3", "v4")
    pushed: list[str] = []

    def push() -> None:
        pushed.append(f"n{len(pushed)}")
        for tag in (pushed[-1], "latest"):
            if is_multi_arch:
                system.registry.push_index(SHOP, tag, seed=pushed[-1])
            else:
                system.registry.push_image(SHOP, tag, seed=pushed[-1])

    system.registry.before("GET", "tags/list", push, times=100)
    planning.enforce(system.wiring, SHOP)
    assert len(pushed) == planning._ROUNDS, "it is planned again and again"
    doomed = {tag for image in system.store.history.doomed(SHOP) for tag in image.tags}
    assert doomed >= {"v2", "v3", "v4"}, "and what each plan decides is committed"
    assert system.store.outbox.backlog().due == 1


OVERTAKING: dict[str, Callable[[System], object]] = {
    "a doomed image": lambda system: system.registry.push_image(SHOP, "prod", seed=f"{SHOP}:v1"),
    "a tag that moves to a doomed image": lambda system: system.registry.push_image(SHOP, "v3", seed=f"{SHOP}:v1"),
    "an index that needs a doomed image": lambda system: system.registry.push(
        SHOP, "multi", index_over([make_image(f"{SHOP}:v1")], seed="multi")
    ),
    "a protection": lambda system: protecting.protect(
        system.store, system.wiring.dispatch, SHOP, {"v1": make_image(f"{SHOP}:v1").digest}, 3600, by="alice"
    ),
    "a pull": lambda system: Pusher(system.registry.url).pull_whole(SHOP, "v1"),
}
USED = {"rules": [{"name": "last", "keep": {"last": 2}}, {"name": "used", "keep": {"last_pulled": 1}}]}


@pytest.mark.parametrize("what", ["nothing else", *OVERTAKING])
def test_a_plan_is_refused_after_a_change_that_keeps_a_doomed_image_also_among_harmless_pushes(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    system = make_system(Policy.model_validate({"hold_over": 100, "hold_min": 1_000_000, **USED}))
    system.push("v0", "v1", "v2")
    Pusher(system.registry.url).pull_whole(SHOP, "v0")
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.push("v3")
    doomed = make_image(f"{SHOP}:v1").digest

    def overtake() -> None:
        system.push("v4")
        if what != "nothing else":
            OVERTAKING[what](system)

    # A second plan would hide what the first one commits, although its deletion may have been made by then.
    monkeypatch.setattr(planning, "_ROUNDS", 1)
    system.registry.before("GET", "tags/list", overtake, times=1)
    planning.enforce(system.wiring, SHOP)
    if what == "nothing else":
        assert doomed in [image.digest for image in system.store.history.doomed(SHOP)]
        return
    assert system.store.history.doomed(SHOP) == ()
    monkeypatch.undo()
    system.later()
    assert doomed in system.registry.manifests(SHOP)
