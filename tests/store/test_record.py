"""Recording: one envelope exactly once; late, doubled and out-of-order events end like the same events in order."""

import pytest

from service.domain.oci.manifest import References
from service.domain.retention.plan import Plan
from service.domain.retention.state import Tag
from service.registry.exchange import agent_with
from service.store.connection import Connection
from service.store.history import History
from tests.support.record import NOW, digest, event, facts_of, record, user_delete


def test_a_push_is_live_with_time_digest_size_and_actor(history: History) -> None:
    record(history, event(1))
    (tag,) = history.live("shop/api")
    assert (tag.name, tag.digest, tag.pushed_us, tag.size_bytes, tag.actor) == (
        "v1", digest(1), NOW + 1000, 400, "ci",
    )  # fmt: skip


def test_the_history_of_the_repository_and_of_all_has_the_user_the_time_and_the_address(history: History) -> None:
    record(history, event(1))
    for repository in ("shop/api", None):
        (entry,) = history.entries(repository)
        assert (entry.repository, entry.action, entry.tag, entry.actor) == ("shop/api", "push", "v1", "ci")
        assert (entry.useragent, entry.address, entry.at_us) == ("docker/27", "10.0.0.9", NOW + 1000)


def test_a_repository_becomes_due_once_for_many_pushes(history: History) -> None:
    assert record(history, event(1)) == ("shop/api",)
    assert record(history, event(2, tag="v2")) == ()


def test_a_late_push_does_not_move_a_tag_back(history: History) -> None:
    record(history, event(2, seed="new"))
    record(history, event(1, seed="old"))
    assert history.live("shop/api")[0].digest == digest("new")


def test_a_late_push_does_not_bring_back_a_deleted_tag(history: History) -> None:
    record(history, user_delete(2, "v1"))
    record(history, event(1))
    assert history.live("shop/api") == ()


def test_a_live_tag_that_our_delete_removed_is_checked(history: History) -> None:
    record(history, event(1))
    history.commit(history.snapshot("shop/api"), Plan(), "none")
    due = record(history, event(4, "delete", digest=None, media_type="", useragent=agent_with(history.word())))
    assert due == ("shop/api",)
    assert history.snapshot("shop/api").heal[0][0] == "v1"


def test_our_own_delete_of_an_unknown_manifest_is_not_in_the_history(history: History) -> None:
    ours = agent_with(history.word())
    record(history, event(1, "delete", None, useragent=ours), event(2, "delete", digest=None, useragent=ours))
    assert history.repositories() == ()
    assert history.entries("shop/api") == ()


@pytest.mark.parametrize("agent", ["pushprune/0.1.0", "pushprune/0.1.0 (guessed)", "pushprune/0.1.0 (probe 0)"])
def test_a_push_and_a_delete_by_a_stranger_that_borrows_our_name_count_as_those_of_a_user(
    history: History, agent: str
) -> None:
    record(history, event(1, tag="v1", useragent=agent), event(2, tag="v2", useragent=agent))
    assert {tag.name for tag in history.live("shop/api")} == {"v1", "v2"}
    record(history, event(3, "delete", "v2", digest=None, media_type="", useragent=agent))
    assert [tag.name for tag in history.live("shop/api")] == ["v1"]
    assert [entry.action for entry in history.entries("shop/api")] == ["delete", "push", "push"]


def test_a_push_of_what_lies_in_the_trash_makes_the_tag_looked_at(history: History, connection: Connection) -> None:
    connection.client.hset(connection.keys.of("trash", "shop/api"), digest(1), "{}")
    connection.client.zadd(connection.keys.of("trashed"), {f"shop/api {digest(1)}": NOW})
    record(history, event(1))
    assert history.snapshot("shop/api").heal[0][0] == "v1"


def test_a_pull_refreshes_the_pull_time_and_never_sets_it_back(history: History, connection: Connection) -> None:
    record(history, event(1), event(5, "pull"), event(3, "pull"))
    assert connection.client.zscore(connection.keys.of("pulled", "shop/api"), "v1") == NOW + 5000


def test_another_instance_of_the_registry_starts_another_epoch(history: History) -> None:
    record(history, event(1))
    before = history.snapshot("shop/api").epoch
    record(history, event(2))
    assert history.snapshot("shop/api").epoch == before
    record(history, event(3, instance="i2"))
    assert history.snapshot("shop/api").epoch != before


@pytest.mark.parametrize("reported", [None, (), ("y",), ("x", "y")])
def test_the_children_of_an_index_are_kept_as_its_manifest_lists_them_whatever_an_event_says(
    history: History, reported: tuple[str, ...] | None
) -> None:
    index = "application/vnd.oci.image.index.v1+json"
    record(history, event(1, media_type=index, seed="i", children=(digest("z"),)))
    assert history.snapshot("shop/api").links[digest("i")] is None, "an event is believed"
    facts_of(history).resolve(history.snapshot("shop/api"), {digest("i"): References(children=(digest("x"),))})
    children = None if reported is None else tuple(map(digest, reported))
    record(history, event(2, media_type=index, seed="i", children=children))
    links = history.snapshot("shop/api").links[digest("i")]
    assert links is not None
    assert links.children == (digest("x"),)


def test_the_result_of_a_comparison_does_not_undo_a_push_that_came_meanwhile(history: History) -> None:
    record(history, event(1, seed="old"), event(2, tag="v2"))
    before = history.snapshot("shop/api")
    record(history, event(3, seed="new"), event(4, tag="v2"))
    facts_of(history).adopt(before, tags=[(Tag("v1", digest("old"), None), "")], vanished=["v2"])
    assert {tag.name: tag.digest for tag in history.live("shop/api")} == {"v1": digest("new"), "v2": digest(4)}
