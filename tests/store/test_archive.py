"""The archive: what the scripts recorded, read back page by page."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.errors import StoreUnavailable
from service.domain.oci.manifest import DOCKER_MANIFEST, OCI_INDEX
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.state import Tag
from service.store.archive import Archive
from service.store.connection import Connection, connect
from service.store.deletions import Deletions
from service.store.history import History
from service.store.keys import Keys
from service.store.limits import Limits
from tests.support.record import NOW, digest, event, facts_of, record, user_delete


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


@pytest.fixture
def archive(connection: Connection) -> Archive:
    return Archive(connection)


def pull(number: int, tag: str | None = "v1", seed: int = 1, **more: Any) -> Any:
    return event(number, "pull", tag, seed, **more)


def removals(history: History) -> Deletions:
    return Deletions(history._connection, Limits(), 86_400)


def prune(history: History, tag: Tag) -> None:
    """Delete the tag as the workers do."""
    doomed = Doomed(tag.digest, (Verdict(tag, False, "older than the newest (rule last)", "last"),))
    history.commit(history.snapshot("shop/api"), Plan(doomed=(doomed,)), "doomed")
    removals(history).forget(history.snapshot("shop/api"), doomed)


def test_a_repository_of_which_nothing_is_recorded_has_no_events(archive: Archive) -> None:
    assert (archive.events("shop/api"), archive.pulls(), archive.pulls_from_us()) == ((), {}, None)


def test_a_push_is_read_with_who_what_and_when(history: History, archive: Archive) -> None:
    record(history, event(1))
    (item,) = archive.events("shop/api")
    assert (item.kind, item.tag, item.digest, item.at_us, item.size_bytes) == (
        "pushed",
        "v1",
        digest(1),
        NOW + 1000,
        400,
    )
    assert (item.actor, item.useragent, item.address) == ("ci", "docker/27", "10.0.0.9")


def test_each_way_for_a_tag_to_come_and_are_deleted_is_told_apart(history: History, archive: Archive) -> None:
    record(history, event(1), event(2, tag="v2"), event(3, tag="v3"), event(4, tag=None))
    facts_of(history).adopt(
        history.snapshot("shop/api"), tags=[(Tag("old", digest("old"), None, 5), "")], vanished=["v3"]
    )
    prune(history, next(tag for tag in history.live("shop/api") if tag.name == "v1"))
    record(history, user_delete(5, "v2"), event(6, "delete", tag=None, seed=4))
    assert [(item.kind, item.tag, item.digest) for item in archive.events("shop/api")] == [
        ("pushed", "v1", digest(1)),
        ("pushed", "v2", digest(2)),
        ("pushed", "v3", digest(3)),
        ("pushed", "", digest(4)),
        ("adopted", "old", digest("old")),
        ("vanished", "v3", ""),
        ("pruned", "v1", digest(1)),
        ("deleted", "v2", ""),
        ("deleted", "", digest(4)),
    ]


def test_an_entry_that_changes_no_tag_is_left_out(history: History, archive: Archive) -> None:
    record(history, event(1))
    removals(history).healed("shop/api", ("v1", 0), digest(1), "a delete of ours had taken it along")
    assert [item.kind for item in archive.events("shop/api")] == ["pushed"]


def test_pulls_are_read_once_for_every_repository(history: History, archive: Archive) -> None:
    record(history, pull(1), pull(2, None), replace(pull(3), repository="web"))
    result = archive.pulls()
    assert [(item.kind, item.tag, item.digest) for item in result["shop/api"]] == [
        ("pulled", "v1", digest(1)),
        ("pulled", "", digest(1)),
    ]
    assert [item.at_us for item in result["web"]] == [NOW + 3000]


def test_many_entries_come_in_pages_and_each_once(
    history: History, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.chunks.AT_ONCE", 3)
    for count in (7, 9):
        record(history, *(event(number, tag=f"v{number}") for number in range(count)))
        assert [item.tag for item in archive.events("shop/api")] == [f"v{number}" for number in range(count)]


def test_pulls_that_were_dropped_are_told_by_the_oldest_that_is_left(connection: Connection) -> None:
    history, archive = History(connection, Limits(pulls=5)), Archive(connection)
    record(history, pull(0))
    assert archive.pulls_from_us() is None
    for first in range(1, 1000, 100):
        record(history, *(pull(number) for number in range(first, first + 100)))
    client: Any = connection.client
    ((oldest, _),) = client.xrange(connection.keys.of("pulls"), count=1)
    assert len(archive.pulls()["shop/api"]) < 500
    assert archive.pulls_from_us() == int(oldest.split("-")[0]) * 1000


def test_entries_recorded_before_a_time_are_all_dropped(connection: Connection) -> None:
    history, archive = History(connection), Archive(connection)
    client: Any = connection.client
    names = ("events", "pulls", "rejected")
    for name in names:
        client.xadd(connection.keys.of(name), {"repository": "shop/old"}, id="5000-1")
    record(history, event(1), pull(2))
    kept = [client.xlen(connection.keys.of(name)) - 1 for name in names]
    assert archive.drop_before(5000) == 0
    assert archive.drop_before(5001) == 3
    assert [client.xlen(connection.keys.of(name)) for name in names] == kept == [1, 1, 0]
    assert len(archive.events("shop/api")) == 1, "the history of a repository is not dropped with its age"


def test_pulls_that_were_all_dropped_are_known_since_the_last_of_them(connection: Connection) -> None:
    archive, client = Archive(connection), connection.client
    client.xadd(connection.keys.of("pulls"), {"repository": "shop/old"}, id="5000-1")
    archive.drop_before(5001)
    assert archive.pulls_from_us() == 5_000_000


def test_events_that_were_dropped_are_told_by_the_oldest_that_is_left(connection: Connection) -> None:
    limits = Limits(events=3, repository_entries=3)
    history, archive = History(connection, limits), Archive(connection, limits)
    assert (archive.dropped_until_ms(None), archive.dropped_until_ms("shop/api")) == (None, None)
    record(history, *(event(number) for number in range(3)))
    assert (archive.dropped_until_ms(None), archive.is_full()) == (None, True)
    # Redis drops whole nodes of a hundred entries or less.
    record(history, *(event(number) for number in range(3, 300)))
    client: Any = connection.client
    for repository, key in (("shop/api", "history:shop/api"), (None, "events")):
        ((oldest, _),) = client.xrange(connection.keys.of(key), count=1)
        assert archive.dropped_until_ms(repository) == int(oldest.split("-")[0])


def test_a_redis_that_does_not_count_what_it_had_has_dropped_events_once_it_has_as_many_as_may_be(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis 6.2 has no `entries-added`."""
    whole = Archive._stream
    monkeypatch.setattr(
        Archive,
        "_stream",
        lambda self, key: {name: value for name, value in whole(self, key).items() if name != "entries-added"},
    )
    limits = Limits(events=3)
    history, archive = History(connection, limits), Archive(connection, limits)
    record(history, event(1), event(2))
    assert archive.dropped_until_ms(None) is None
    record(history, event(3))
    assert archive.dropped_until_ms(None) is not None


def test_a_redis_that_is_away_is_reported() -> None:
    archive = Archive(Connection(connect("redis://127.0.0.1:1/0"), Keys("nowhere:")))
    for ask in (archive.pulls, archive.pulls_from_us, lambda: archive.events("shop/api")):
        with pytest.raises(StoreUnavailable):
            ask()


def test_an_entry_says_of_what_kind_the_manifest_was(history: History) -> None:
    listed = event(1, tag="multi", media_type=OCI_INDEX, children=())
    strange = event(2, tag="odd", media_type="application/vnd.wasm.v1+json")
    record(history, listed, strange, user_delete(3, "odd"))
    snapshot, result = history.snapshot("shop/api"), Tag("old", digest("old"), None, 5)
    facts_of(history).adopt(snapshot, [(result, "")], media_types={digest("old"): DOCKER_MANIFEST})
    kinds = {(entry.action, entry.tag): entry.media_type for entry in history.entries("shop/api")}
    assert kinds == {
        ("push", "multi"): OCI_INDEX, ("push", "odd"): "application/vnd.wasm.v1+json", ("delete", "odd"): "",
        ("adopted", "old"): DOCKER_MANIFEST,
    }  # fmt: skip
