"""The inventory: repositories, tags and their past, page by page, and fast for many rows."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any, cast, get_args

import pytest

from service.domain.errors import NoSuchRepository, NoSuchTag
from service.domain.page import Page, Place
from service.domain.policy.patterns import Matcher
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.selector import every_name
from service.domain.retention.state import Tag
from service.domain.usage import UNMEASURED
from service.reports import repository_listing
from service.reports.inventory import Inventory
from service.reports.repository_listing import ListedRepository, RepositoryOrder, RepositoryStatus
from service.reports.tag_listing import TagOrder, TagVerdict
from service.store.catalog import Catalog, RepositorySummary
from service.store.history import History
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.support.makers import policy
from tests.support.record import NOW, digest, event, record, user_delete


def everything(_: object) -> bool:
    return True


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    """Three tags in shop/api, one in shop/web, none any more in ops/old; the policy keeps the last two."""
    wiring = make_wiring(policy=keep_last(2))
    record(wiring.store.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3)))
    record(wiring.store.history, event(9, tag="v1", repository="shop/web"), event(5, tag="v1", repository="ops/old"))
    record(wiring.store.history, replace(user_delete(6, "v1"), repository="ops/old"))
    return wiring


@pytest.fixture
def inventory(wiring: Wiring) -> Inventory:
    return wiring.inventory


def test_a_repository_has_its_tags_its_last_push_and_what_is_doomed(wiring: Wiring) -> None:
    snapshot = wiring.store.history.snapshot("shop/api")
    going = Verdict(snapshot.tags[0], False, "old")
    wiring.store.history.commit(snapshot, Plan(doomed=(Doomed(going.tag.digest, (going,)),)), "doomed")
    rows = wiring.inventory.repositories.page(everything).rows
    assert tuple(replace(row, next_us=None) for row in rows) == (
        ListedRepository("ops/old", 0, None, 0, held=None, unannounced=0),
        ListedRepository("shop/api", 3, NOW + 3000, 1, held=None, unannounced=0),
        ListedRepository("shop/web", 1, NOW + 9000, 0, held=None, unannounced=0),
    )


def test_a_status_filters_the_repositories(wiring: Wiring) -> None:
    history = wiring.store.history
    for name, target in (("shop/api", "doomed"), ("shop/web", "held")):
        verdict = Verdict(history.snapshot(name).tags[0], False, "old")
        plan = Plan(doomed=(Doomed(verdict.tag.digest, (verdict,)),), hold="too many")
        assert history.commit(history.snapshot(name), plan, "held" if target == "held" else "doomed")
    for status, name in (("delete", "shop/api"), ("held", "shop/web")):
        page = wiring.inventory.repositories.page(everything, status=cast(RepositoryStatus, status))
        assert [row.repository for row in page.rows] == [name]


def test_the_repository_of_the_next_deletion_comes_first(wiring: Wiring) -> None:
    history = wiring.store.history
    for name, next_us in (("ops/old", None), ("shop/api", NOW * 9), ("shop/web", NOW * 8)):
        assert history.commit(history.snapshot(name), Plan(next_us=next_us), "none")
    rows = wiring.inventory.repositories.page(everything, "expires").rows
    assert [row.repository for row in rows] == ["shop/web", "shop/api", "ops/old"]
    assert rows[-1].next_us is None


@pytest.mark.parametrize(
    ("order", "names"),
    [("name", "osw"), ("-name", "wso"), ("pushed", "osw"), ("-pushed", "wso"), ("tags", "ows"), ("-tags", "swo")],
)
@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("matches", [everything, every_name], ids=["chosen", "from an index"])
def test_repositories_in_every_order_page_by_page(
    inventory: Inventory, order: RepositoryOrder, names: str, limit: int, matches: Matcher
) -> None:
    called = {"o": "ops/old", "s": "shop/api", "w": "shop/web"}
    result: list[str] = []
    after: Place | None = None
    for _ in range(5):
        page = inventory.repositories.page(matches, order, after, limit)
        assert page.total == 3
        assert len(page.rows) <= limit
        result += [summary.repository for summary in page.rows]
        after = page.after
        if after is None:
            break
    assert result == [called[name] for name in names]


def test_the_largest_repositories_come_first_and_those_without_a_size_last(wiring: Wiring) -> None:
    for name, size_bytes in (("shop/web", 7), ("ops/old", 0)):
        wiring.store.usage.note_size(name, UNMEASURED.followed_by(size_bytes, 1, "g", 9))
    rows = wiring.inventory.repositories.page(everything, "-size").rows
    assert [(row.repository, row.size_bytes, row.unsized) for row in rows] == [
        ("shop/web", 7, 1), ("ops/old", 0, 1), ("shop/api", None, 0),
    ]  # fmt: skip
    listing = wiring.inventory.repositories
    after = listing.page(everything, "-size", limit=1).after
    assert [row.repository for row in listing.page(everything, "-size", after, 1).rows] == ["ops/old"]


def test_the_order_by_push_and_by_tags_follows_pushes_and_deletions(inventory: Inventory, wiring: Wiring) -> None:
    def order(by: RepositoryOrder) -> list[str]:
        return [row.repository for row in inventory.repositories.page(everything, by).rows]

    assert order("-pushed") == ["shop/web", "shop/api", "ops/old"]
    assert order("-tags") == ["shop/api", "shop/web", "ops/old"]
    record(wiring.store.history, *(event(number, tag=f"n{number}", repository="ops/old") for number in range(20, 24)))
    assert order("-pushed") == ["ops/old", "shop/web", "shop/api"]
    assert order("-tags") == ["ops/old", "shop/api", "shop/web"]
    record(wiring.store.history, replace(user_delete(25, "v1"), repository="shop/web"))
    assert order("-pushed") == ["ops/old", "shop/api", "shop/web"]
    assert inventory.totals().tags == 7


@pytest.mark.parametrize("order", ["name", "-name", "pushed", "-pushed", "tags", "-tags"])
def test_a_page_of_all_repositories_is_read_from_an_index(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch, order: RepositoryOrder
) -> None:
    def repositories(_: History) -> tuple[str, ...]:
        raise AssertionError("all names were read")

    expected = [row.repository for row in inventory.repositories.page(everything, order).rows]
    monkeypatch.setattr(History, "repositories", repositories)
    assert [row.repository for row in inventory.repositories.page(every_name, order).rows] == expected
    total, rows = inventory.repositories.rows(every_name, order, 2, None)
    assert (total, [row.repository for row in rows]) == (3, expected[:2])


@pytest.mark.parametrize("order", ["-name", "-pushed"])
def test_all_repositories_are_listed_also_if_a_page_of_an_index_cannot_hold_them(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch, order: RepositoryOrder
) -> None:
    monkeypatch.setattr(repository_listing, "_MOST_INDEXED", 1)
    total, rows = inventory.repositories.rows(every_name, order, 10, None)
    assert (total, [row.repository for row in rows]) == (3, ["shop/web", "shop/api", "ops/old"])


def test_a_tag_that_pushprune_deleted_is_not_counted_any_more(inventory: Inventory, wiring: Wiring) -> None:
    history, before = wiring.store.history, inventory.totals().tags
    verdict = Verdict(history.snapshot("shop/web").tags[0], False, "old")
    doomed = Doomed(verdict.tag.digest, (verdict,))
    history.commit(history.snapshot("shop/web"), Plan(doomed=(doomed,)), "doomed")
    wiring.store.deletions.forget(history.snapshot("shop/web"), doomed)
    assert inventory.totals().tags == before - 1


def test_the_next_deletions_are_those_to_make_now_then_the_next_by_time(inventory: Inventory, wiring: Wiring) -> None:
    connection, now_ms = wiring.store.connection, wiring.store.connection.now_ms()
    snapshot = wiring.store.history.snapshot("shop/web")
    verdict = Verdict(snapshot.tags[0], False, "old")
    wiring.store.history.commit(snapshot, Plan(doomed=(Doomed(verdict.tag.digest, (verdict,)),)), "doomed")
    # A repository that is planned within a minute, as after a push, may have nothing to delete.
    due = {"shop/api": now_ms + 9_000_000, "ops/old": now_ms + 7_000_000, "ops/pushed": now_ms + 2_000}
    connection.client.zadd(connection.keys.of("due"), due)
    rows = inventory.repositories.next_deletions(6)
    assert [(row.repository, row.doomed) for row in rows] == [("shop/web", 1), ("ops/old", 0), ("shop/api", 0)]
    assert [row.repository for row in inventory.repositories.next_deletions(2)] == ["shop/web", "ops/old"]


def test_only_what_is_on_the_page_is_read(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    summaries = type(inventory.catalog).summaries

    def noted(self: Catalog, names: tuple[str, ...]) -> tuple[RepositorySummary, ...]:
        read.extend(names)
        return summaries(self, names)

    monkeypatch.setattr(type(inventory.catalog), "summaries", noted)
    inventory.repositories.page(everything, limit=1)
    assert read == ["ops/old"]


def test_many_repositories_are_read_in_parts(wiring: Wiring) -> None:
    names = [f"many/r{number:04}" for number in range(1100)]
    for start in range(0, len(names), 100):
        record(wiring.store.history, *(event(7, repository=name) for name in names[start : start + 1]))
    summaries = wiring.inventory.catalog.summaries(names)
    assert [summary.repository for summary in summaries] == names
    assert [summary.repository for summary in summaries if summary.tags] == names[:1]


def test_tags_come_with_their_verdicts_the_newest_push_first(inventory: Inventory) -> None:
    rows = inventory.listing("shop/api").page(everything).rows
    assert [(entry.verdict.tag.name, entry.verdict.kept) for entry in rows] == [
        ("v3", True),
        ("v2", True),
        ("v1", False),
    ]
    assert rows[2].verdict.reason == "older than the newest 2 (rule last)"


def test_tags_are_found_sorted_and_paged(inventory: Inventory) -> None:
    page = inventory.listing("shop/api").page(lambda name: name != "v2", "name", limit=1)
    assert ([entry.verdict.tag.name for entry in page.rows], page.total, page.after) == (["v1"], 2, ("v1", "v1"))
    rest = inventory.listing("shop/api").page(lambda name: name != "v2", "name", page.after, limit=1)
    assert ([entry.verdict.tag.name for entry in rest.rows], rest.after) == (["v3"], None)


def test_a_tag_whose_plan_waits_says_so(wiring: Wiring) -> None:
    snapshot = wiring.store.history.snapshot("shop/api")
    verdicts = {tag.name: (Verdict(tag, False, "old"),) for tag in snapshot.tags}
    doomed = Doomed(digest(1), verdicts["v1"]), Doomed(digest(3), verdicts["v3"])
    held = Plan(doomed=doomed, hold="it is much")
    wiring.store.history.commit(snapshot, held, "held")
    rows = wiring.inventory.listing("shop/api").page(everything).rows
    assert {entry.verdict.tag.name: entry.held for entry in rows} == {
        "v1": "it is much", "v2": None, "v3": None,  # v3 is kept, whatever the plan that waits says
    }  # fmt: skip


def test_the_history_is_read_page_by_page_to_its_end(inventory: Inventory) -> None:
    read: list[tuple[str, str]] = []
    before: str | None = None
    while True:
        page = inventory.entries(None, everything, before, limit=2)
        read += [(entry.repository, entry.action) for entry in page.entries]
        before = page.before
        if before is None:
            break
    assert read == [
        ("ops/old", "delete"), ("ops/old", "push"), ("shop/web", "push"), *[("shop/api", "push")] * 3,
    ]  # fmt: skip


def test_the_end_of_a_history_says_if_older_events_were_dropped(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(policy=keep_last(2), history={"events": 50, "repository_entries": 20})
    inventory = wiring.inventory
    record(wiring.store.history, *(event(number) for number in range(10)))
    assert inventory.entries("shop/api", everything).dropped == ""
    record(wiring.store.history, *(event(number) for number in range(10, 400)))
    assert inventory.entries(None, everything, limit=10).dropped == "", "there are older ones"
    assert inventory.entries(None, everything, limit=400).dropped == (
        "Older events were dropped: history.events keeps the newest 50, for history.max_age at most."
    )
    left = len(inventory.entries("shop/api", everything, limit=400).entries)
    assert inventory.entries("shop/api", everything, limit=left).dropped == (
        "Older events were dropped: history.repository_entries keeps the newest 20 of a repository."
    )


def test_entries_that_match_a_filter_are_found_however_far_back(inventory: Inventory) -> None:
    page = inventory.entries("shop/api", lambda entry: entry.tag == "v1", limit=1)
    assert ([entry.tag for entry in page.entries], page.before) == (["v1"], None)


def test_the_last_digest_of_a_deleted_tag_is_known(inventory: Inventory) -> None:
    (first,) = inventory.intervals("ops/old", "v1")
    assert (first.from_us, first.to_us, first.ended) == (NOW + 5000, NOW + 6000, "deleted by ci")
    (first,) = inventory.intervals("shop/api", "v2")
    assert (first.digest, first.from_us, first.to_us, first.ended) == (digest(2), NOW + 2000, None, "")


def test_an_unknown_repository_or_tag_is_an_error(inventory: Inventory) -> None:
    assert inventory.known("shop/api") == "shop/api"
    with pytest.raises(NoSuchRepository, match="no repository 'shop/nope' is known"):
        inventory.known("shop/nope")
    with pytest.raises(NoSuchTag, match="no tag 'nope' is known in 'shop/api'"):
        inventory.intervals("shop/api", "nope")


MIXED = policy(
    """
    protect: [v1, v21]
    grace: 1m
    shared: keep
    rules:
    - {name: odd, tags: "re:[13579]$", keep: {last: 4, revisions: 2}, final: true}
    - {name: old, older_than: 1m, keep: {last: 3, pulled_within: 1m}}
    """
)


@pytest.mark.parametrize("order", get_args(TagOrder))
def test_a_page_says_of_each_tag_what_the_plan_says(make_wiring: MakeWiring, order: TagOrder) -> None:
    """The verdicts of a page are made alone, in the order of the page; a plan makes all of them, in its own."""
    wiring = make_wiring(policy=MIXED)
    record(wiring.store.history, *(event(number, tag=f"v{number % 23}", seed=number % 17) for number in range(60)))
    planned = {verdict.tag.name: verdict for verdict in wiring.verdicts.plan("shop/api").verdicts}
    assert {verdict.kept for verdict in planned.values()} == {True, False}
    rows = [page.rows for page in pages_of(wiring.inventory, order, limit=5)]
    assert {item.verdict.tag.name: item.verdict for row in rows for item in row} == planned
    assert all(len(row) <= 5 for row in rows)


def test_only_what_is_on_the_page_is_decided(
    wiring: Wiring, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[str] = []
    verdict = Evaluation.verdict

    def noted(self: Evaluation, tag: Tag) -> Verdict:
        decided.append(tag.name)
        return verdict(self, tag)

    monkeypatch.setattr(Evaluation, "verdict", noted)
    assert inventory.listing("shop/api").page(everything, limit=1).total == 3
    assert decided == ["v3"]


def pages_of(inventory: Inventory, order: TagOrder, limit: int) -> Iterator[Page[TagVerdict]]:
    after: Place | None = None
    while True:
        page = inventory.listing("shop/api").page(everything, order, after, limit)
        yield page
        after = page.after
        if after is None:
            return


def test_two_who_look_at_once_get_the_same(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts share results of others: two threads must not compute them at the same time."""
    wiring = make_wiring(policy=MIXED)
    record(wiring.store.history, event(1))
    live, inside = wiring.verdicts.live("shop/api"), Lock()

    def alone(self: Evaluation, tag: Tag) -> Verdict:
        assert inside.acquire(blocking=False), "another thread does the work"
        for _ in range(100):
            os.sched_yield()
        inside.release()
        return Verdict(tag, True, "alone")

    monkeypatch.setattr(Evaluation, "verdict", alone)
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(live.verdict, live.tags * 200))
    assert {verdict.reason for verdict in verdicts} == {"alone"}


def test_rows_of_repositories_are_read_while_they_are_taken(
    make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring, read = make_wiring(), list[Sequence[str]]()
    record(wiring.store.history, *(event(number, repository=f"shop/app{number}") for number in range(5)))
    summaries = Catalog.summaries

    def noted(of: Catalog, names: Sequence[str]) -> Sequence[RepositorySummary]:
        read.append(names)
        return summaries(of, names)

    monkeypatch.setattr(Catalog, "summaries", noted)
    monkeypatch.setattr(repository_listing, "_BLOCK", 2)
    total, rows = wiring.inventory.repositories.rows(lambda name: name != "shop/app3", "-name", 3, None)
    assert (total, read) == (4, [])
    assert (next(rows).repository, read) == ("shop/app4", [("shop/app4", "shop/app2")])
    assert [row.repository for row in rows] == ["shop/app2", "shop/app1"]


def test_lost_pushes_are_read_of_the_listed_repositories_alone(
    inventory: Inventory, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing of half a million is read in a thousand parts: each must not read all of them."""
    client, key = wiring.store.connection.client, wiring.store.connection.keys.of("unannounced")
    client.hset(key, mapping={"shop/api": 2, "shop/web": 1})
    whole, read = [], client.hscan_iter

    def scanned(name: str, **options: Any) -> Any:
        whole.append(name)
        return read(name, **options)

    monkeypatch.setattr(client, "hscan_iter", scanned)
    rows = inventory.repositories.page(lambda name: name != "shop/web").rows
    assert [(row.repository, row.unannounced) for row in rows] == [("ops/old", 0), ("shop/api", 2)]
    assert key not in whole
