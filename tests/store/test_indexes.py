"""The indexes of all repositories. The fixture `connection` checks after each test that the scripts kept them right."""

import locale
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from service.domain.page import Place
from service.store.catalog import Catalog, IndexOrder
from service.store.connection import Connection, connect
from service.store.facts import Proof
from service.store.history import History
from service.store.keys import Keys
from tests.fakes.valkey import Valkey
from tests.support.record import NOW, event, facts_of, record

NAMES = ("a", "ops/db", "ops/db-2", "shop/api", "shop/web", "shop/web/front", "shop-x", "top")


@pytest.fixture
def catalog(connection: Connection) -> Catalog:
    """Repositories of which several have the same last push and the same number of tags."""
    return filled(connection)


def filled(connection: Connection) -> Catalog:
    history = History(connection)
    for number, name in enumerate(NAMES):
        for tag in range(number % 3 + 1):
            record(history, event(number // 3, tag=f"v{tag}", repository=name, id=f"{name} {tag}"))
    return Catalog(connection)


def pages(catalog: Catalog, order: IndexOrder, limit: int) -> Iterable[str]:
    after: Place | None = None
    while True:
        page = catalog.page(order, after, limit)
        assert page.total == len(NAMES)
        assert len(page.rows) <= limit
        yield from page.rows
        after = page.after
        if after is None:
            return


@pytest.mark.parametrize("limit", [1, 3, 8, 100])
@pytest.mark.parametrize("order", get_args(IndexOrder))
def test_the_pages_of_an_index_hold_each_repository_once_in_order(
    catalog: Catalog, order: IndexOrder, limit: int
) -> None:
    by = order.lstrip("-")
    ranks = dict.fromkeys(NAMES, 0) if by == "name" else catalog.ranks(order, NAMES)
    expected = sorted(NAMES, key=lambda name: (ranks[name], name), reverse=order.startswith("-"))
    assert list(pages(catalog, order, limit)) == expected


def test_the_pages_are_complete_in_each_locale_of_the_redis_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # systemd starts Redis in the locale of its machine. In that of English, "shop-x" is behind "shop/web".
    try:
        locale.setlocale(locale.LC_COLLATE, "en_US.UTF-8")
    except locale.Error:
        pytest.skip("this machine has no English locale")
    finally:
        locale.setlocale(locale.LC_COLLATE, "C")
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    with Valkey(tmp_path) as server:
        catalog = filled(Connection(connect(server.url), Keys("test:")))
        assert sorted(pages(catalog, "name", 1)) == sorted(NAMES)
        assert sorted(pages(catalog, "-tags", 3)) == sorted(NAMES)


@pytest.mark.parametrize("path", ["", "shop/", "shop/web/", "none/", "/"])
def test_the_names_below_a_path_are_read_in_parts(catalog: Catalog, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.catalog.AT_ONCE", 2)
    assert catalog.names(path) == tuple(name for name in sorted(NAMES) if name.startswith(path))


def test_the_ranks_are_the_last_push_and_the_number_of_live_tags(catalog: Catalog) -> None:
    assert catalog.ranks("pushed", ["a", "top", "none"]) == {"a": NOW, "top": NOW + 2000, "none": 0}
    assert catalog.ranks("tags", ["a", "top", "none"]) == {"a": 1, "top": 2, "none": 0}
    assert (catalog.count(), catalog.live_tags()) == (8, 15)


def test_a_page_begins_where_the_one_before_ended_also_if_that_repository_was_pushed_to_since(
    catalog: Catalog, connection: Connection
) -> None:
    first = catalog.page("-pushed", None, 3)
    assert first.rows == ("top", "shop-x", "shop/web/front")
    record(History(connection), event(99, tag="new", repository="shop/web/front"))
    assert catalog.page("-pushed", first.after, 2).rows == ("shop/web", "shop/api")


@pytest.mark.parametrize(
    ("path", "folders"),
    [
        ("", (("ops/", 2), ("shop/", 3))),
        ("shop/", (("shop/web/", 1),)),
        ("ops/", ()),
        ("none/", ()),
    ],
)
def test_folders_are_listed_with_the_number_of_their_repositories(
    catalog: Catalog, path: str, folders: tuple[tuple[str, int], ...]
) -> None:
    assert catalog.folders(path, 10) == folders
    assert catalog.folders(path, 1) == folders[:1]


def test_folders_are_found_behind_thousands_of_repositories_without_one(connection: Connection) -> None:
    names = (*(f"m{number:05}" for number in range(7_000)), "a/x", "m00003/x", "z/x", "z/y")
    connection.client.zadd(connection.keys.of("by_name"), dict.fromkeys(names, 0))
    assert Catalog(connection).folders("", 10) == (("a/", 1), ("m00003/", 1), ("z/", 2))
    connection.client.delete(connection.keys.of("by_name"))


def test_indexes_that_an_older_version_left_are_corrected(catalog: Catalog, connection: Connection) -> None:
    client, of = connection.client, connection.keys.of
    assert catalog.correct_indexes() == ()
    before = {name: client.zrange(of(name), 0, -1, withscores=True) for name in ("by_name", "by_push", "by_tags")}
    client.zadd(of("by_push"), {"a": 7})
    client.zrem(of("by_name"), "top")
    client.zadd(of("by_tags"), {"ops/db": 9})
    client.set(of("live_tags"), 22)
    client.zadd(of("by_name"), {"gone": 0})
    assert catalog.correct_indexes() == ("a", "gone", "ops/db", "top")
    assert {name: client.zrange(of(name), 0, -1, withscores=True) for name in before} == before
    assert catalog.live_tags() == 15
    client.delete(*map(of, (*before, "live_tags")))
    assert catalog.correct_indexes() == tuple(sorted(NAMES))
    assert {name: client.zrange(of(name), 0, -1, withscores=True) for name in before} == before
    assert catalog.live_tags() == 15


def test_a_push_that_turns_out_to_be_earlier_or_later_moves_its_repository(
    catalog: Catalog, connection: Connection
) -> None:
    history = History(connection)
    snapshot = history.snapshot("top")
    facts_of(history).prove(snapshot, [Proof(tag, False, link_us=NOW - 5) for tag in snapshot.tags])
    assert catalog.ranks("pushed", ["top"]) == {"top": NOW - 5}
    # The tag was deleted and restored, and the push that is reported now was before that.
    connection.client.zadd(connection.keys.of("voided", "a"), {"v0": NOW + 9000})
    record(history, event(5, tag="v0", repository="a", seed=0))
    assert catalog.ranks("pushed", ["a"]) == {"a": NOW + 5000}
