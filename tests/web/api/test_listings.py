"""Listings of the API: repositories, tags, intervals of a tag, the history, plans."""

from typing import Any

import pytest

from service.domain.oci.manifest import OCI_MANIFEST
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.timestamps import rfc3339
from service.domain.usage import UNMEASURED, Usage
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.problem import problem
from tests.support.record import NOW, digest, event, record

pytestmark = pytest.mark.slow

NO_CURSOR = "cursor: invalid for this sort order; leave it out to begin at the first page"


@pytest.fixture
def edge(serve_over_valkey: ServeEdge) -> Edge:
    """Three tags in shop/api of which the policy keeps two, one in shop/web and one in ops/api."""
    edge = serve_over_valkey(policy=keep_last(2))
    record(edge.store.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3)))
    record(edge.store.history, event(9, repository="shop/web"), event(10, repository="ops/api", actor="bob"))
    return edge


def read(edge: Edge, path: str, **query: Any) -> Any:
    response = edge.http.get(f"/api/v1/{path}", query_string=query)
    assert response.status_code == 200, response.text
    return response.json


def every_page(edge: Edge, path: str, key: str, **query: Any) -> list[Any]:
    rows, cursor = [], None
    for _ in range(20):
        page = read(edge, path, **query, **({"cursor": cursor} if cursor else {}))
        rows += page[key]
        cursor = page["next"]
        if cursor is None:
            return rows
    raise AssertionError("the pages do not end")


def test_repositories_are_searched_sorted_and_paged(edge: Edge) -> None:
    def names(**query: Any) -> list[str]:
        return [row["repository"] for row in every_page(edge, "repositories", "repositories", **query)]

    assert names() == names(limit=1) == ["ops/api", "shop/api", "shop/web"]
    assert names(sort="-pushed", limit=2) == ["ops/api", "shop/web", "shop/api"]
    assert names(sort="-tags", limit=1)[0] == "shop/api"
    edge.store.usage.note_size("shop/api", UNMEASURED.followed_by(7000, 0, "g", 9))
    assert names(sort="-size", limit=1)[0] == "shop/api"
    assert names(search="api") == ["ops/api", "shop/api"]
    assert names(search="shop/*", sort="-name", limit=1) == ["shop/web", "shop/api"]
    assert read(edge, "repositories", search="api", limit=1)["total"] == 2
    (row,) = read(edge, "repositories", search="shop/api")["repositories"]
    assert row["next_deletion_at"] > row["pushed_at"]
    assert [row] == [
        {
            "repository": "shop/api",
            "tags": 3,
            "pushed_at": rfc3339(NOW + 3000),
            "doomed": 0,
            "next_deletion_at": row["next_deletion_at"],
            "held": None,
            "unannounced": 0,
            "size_bytes": 7000,
            "unsized": 0,
            "growth_bytes": 0,
            "measured_at": rfc3339(9000),
        }
    ]


def test_the_storage_used_is_a_time_series(edge: Edge) -> None:
    empty = read(edge, "usage")
    assert (empty["size_bytes"], empty["measured_at"], empty["points"]) == (None, None, [])
    now_ms = edge.store.usage.now_ms()
    edge.store.usage.note(Usage(now_ms, 5, {"shop": 5}), hourly=True)
    edge.store.usage.note(Usage(now_ms + 60_000, 12, {"shop": 7, "ops": 2}, 1, 2, 3, 4), hourly=False)
    result = read(edge, "usage", days=1)
    assert (result["size_bytes"], result["unsized"], result["change_bytes"]) == (12, 3, 7)
    assert len(result["points"]) == 2
    assert result["points"][1] == {
        "at": rfc3339((now_ms + 60_000) * 1000), "size_bytes": 12, "prefixes": {"shop": 7, "ops": 2}, "other_bytes": 1,
        "shared_bytes": 2, "unsized": 3, "repositories": 4,
    }  # fmt: skip
    assert edge.http.get("/api/v1/usage?days=401").status_code == 422


def test_tags_come_with_their_verdicts(edge: Edge) -> None:
    page = read(edge, "repositories/shop/api/tags")
    assert (page["repository"], page["dry_run"], page["total"], page["next"]) == ("shop/api", False, 3, None)
    assert [(tag["tag"], tag["verdict"]) for tag in page["tags"]] == [("v3", "keep"), ("v2", "keep"), ("v1", "delete")]
    assert page["tags"][2] == {
        "repository": "shop/api", "tag": "v1", "digest": digest(1), "size_bytes": 400, "platforms": None,
        "pushed_at": rfc3339(NOW + 1000), "pulled_at": None, "created_at": None, "actor": "ci", "verdict": "delete",
        "reason": "older than the newest 2 (rule last)", "rule": "last", "kept_until": None, "kept_as": None,
        "unknown_age": None, "by": "", "held": None,
    }  # fmt: skip
    rows = every_page(edge, "repositories/shop/api/tags", "tags", limit=1, sort="name", search="v*")
    assert [tag["tag"] for tag in rows] == ["v1", "v2", "v3"]


def test_platforms_without_a_registry_are_a_conflict(edge: Edge) -> None:
    response = edge.http.get("/api/v1/repositories/shop/api/tags?platforms=true")
    assert problem(response) == (409, "registry.url is not set, and only the registry knows platforms")


def test_events_are_listed_of_all_repositories_and_of_one(edge: Edge) -> None:
    rows = every_page(edge, "events", "events", limit=2)
    assert [(row["repository"], row["tag"]) for row in rows] == [
        ("ops/api", "v1"), ("shop/web", "v1"), ("shop/api", "v3"), ("shop/api", "v2"), ("shop/api", "v1"),
    ]  # fmt: skip
    assert rows[0] | {"id": ""} == {
        "id": "", "at": rfc3339(NOW + 10_000), "action": "push", "repository": "ops/api", "tag": "v1",
        "digest": digest(10),
        "media_type": OCI_MANIFEST, "size_bytes": 400, "actor": "bob", "useragent": "docker/27",
        "address": "10.0.0.9", "reason": "", "rule": "",
    }  # fmt: skip
    in_one = every_page(edge, "repositories/shop/api/events", "events", limit=1)
    assert [row["tag"] for row in in_one] == ["v3", "v2", "v1"]
    assert [row["tag"] for row in read(edge, "repositories/shop/api/events", tag="v2")["events"]] == ["v2"]
    assert read(edge, "events", action="delete")["events"] == []
    assert read(edge, "events")["older_dropped"] is False
    edge.redis.xtrim(edge.store.connection.keys.of("events"), maxlen=2, approximate=False)
    assert read(edge, "events")["older_dropped"] is True
    assert read(edge, "events", limit=1)["older_dropped"] is False


def test_the_plan_as_it_stands(edge: Edge) -> None:
    assert read(edge, "plan") == {"next": None, "total": 0, "repositories": []}
    snapshot = edge.store.history.snapshot("shop/api")
    going = Verdict(next(tag for tag in snapshot.tags if tag.name == "v1"), False, "old", "last", kept_as="latest")
    edge.store.history.commit(snapshot, Plan(doomed=(Doomed(digest(1), (going,)),)), "doomed")
    snapshot = edge.store.history.snapshot("ops/api")
    shown = Verdict(snapshot.tags[0], False, "old", "last")
    edge.store.history.commit(snapshot, Plan(doomed=(Doomed(digest(10), (shown,)),)), "dry_run")
    rows = every_page(edge, "plan", "repositories", limit=1)
    assert [(row["repository"], len(row["deletions"]), len(row["dry_run_deletions"])) for row in rows] == [
        ("ops/api", 0, 1), ("shop/api", 1, 0),
    ]  # fmt: skip
    (deletion,) = rows[1]["deletions"]
    values = [deletion[name] for name in ("tag", "digest", "kept_as", "size_bytes", "reason", "rule", "by")]
    assert values == ["v1", digest(1), "latest", 400, "old", "last", ""]
    assert read(edge, "plan", search="ops")["total"] == 1


def test_the_overview_counts_repositories_tags_events_and_troubles(edge: Edge) -> None:
    edge.store.outbox.note_trouble("due shop/api", "mend it")
    result = read(edge, "overview")
    assert (result["repositories"], result["tags"], result["due"], result["policy"]) == (3, 5, 3, "in force")
    assert result["events"]["push"] == 5
    troubles = {trouble["about"]: trouble["message"] for trouble in result["troubles"]}
    assert troubles["due shop/api"] == "mend it"
    assert troubles["workers"].startswith("no worker is running")
    assert (result["workers"], result["collection"], result["reconciled_at"]) == (0, None, None)


@pytest.mark.parametrize(
    "path",
    ["repositories/nope/tags", "repositories/nope/events", "repositories/nope/tags/v1/history",
     "repositories/shop/api/tags/nope/history", "deletions/nope"],
)  # fmt: skip
def test_an_unknown_name_is_not_found(edge: Edge, path: str) -> None:
    status, sentence = problem(edge.http.get(f"/api/v1/{path}"))
    assert (status, "nope" in sentence) == (404, True)


@pytest.mark.parametrize("cursor", ["x", "é", "W10", "bnVsbA", "WyJuYW1lIiwxLCJhIl0", "1-", "9" * 30 + "-0", "A" * 999])
@pytest.mark.parametrize("path", ["repositories", "repositories/shop/api/tags", "events", "plan"])
def test_an_invalid_cursor_is_refused(edge: Edge, path: str, cursor: str) -> None:
    response = edge.http.get(f"/api/v1/{path}", query_string={"cursor": cursor})
    assert problem(response) == (422, NO_CURSOR)


def test_a_cursor_is_good_for_the_order_it_was_given_in(edge: Edge) -> None:
    cursor = read(edge, "repositories", sort="-pushed", limit=1)["next"]
    response = edge.http.get("/api/v1/repositories", query_string={"cursor": cursor, "sort": "pushed"})
    assert problem(response) == (422, NO_CURSOR)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "sort=bytes", "search=!a*", "search=a[z-a]*", "x=1"]
)
def test_a_query_that_makes_no_sense_is_refused(edge: Edge, query: str) -> None:
    assert problem(edge.http.get(f"/api/v1/repositories?{query}"))[0] == 422


def test_an_unchanged_answer_is_not_sent_again(edge: Edge) -> None:
    first = edge.http.get("/api/v1/repositories")
    tag = first.headers["ETag"]
    again = edge.http.get("/api/v1/repositories", headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert first.headers["Cache-Control"] == "private, no-cache"
    record(edge.store.history, event(40, tag="v4"))
    changed = edge.http.get("/api/v1/repositories", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_a_refusal_bears_no_etag(edge: Edge) -> None:
    assert "ETag" not in edge.http.get("/api/v1/repositories/nope/tags").headers
