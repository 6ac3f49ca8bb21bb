"""POST /api/v1/protections: protect images over the API; status filters; the output of a collection."""

import gzip
from typing import Any

import pytest

from service.domain.collection.run import Run
from service.domain.timestamps import rfc3339
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.support.problem import problem


@pytest.fixture
def edge(serve_over_valkey: ServeEdge) -> Edge:
    """The policy keeps one of two tags of shop/api."""
    edge = serve_over_valkey(policy=keep_last(1))
    edge.heard(event(tag="v1", digest=digest_of("one"), at=1), event(tag="v2", digest=digest_of("two"), at=2))
    return edge


def sent(edge: Edge, **body: Any) -> dict[str, Any]:
    return dict(edge.http.post("/api/v1/protections", json={"repository": "shop/api", **body}).json or {})


def tags(edge: Edge, query: str) -> list[str]:
    answer = edge.http.get(f"/api/v1/repositories/shop/api/tags?{query}").json or {}
    return [tag["tag"] for tag in answer["tags"]]


def test_an_image_is_protected_and_its_protection_ended(edge: Edge) -> None:
    assert tags(edge, "status=delete") == ["v1"]
    answer = sent(edge, tags=["v1", "v1"], keep_for="30d")
    assert (answer["tags"], answer["images"]) == (1, 1)
    assert tags(edge, "status=delete") == []
    (kept,) = (edge.http.get("/api/v1/repositories/shop/api/tags?search=v1").json or {})["tags"]
    assert kept["kept_until"][:19] == answer["until"][:19]
    assert sent(edge, tags=["v1"], keep_for="0")["until"] is None
    assert tags(edge, "status=delete") == ["v1"]


def test_an_unknown_tag_or_no_period_is_refused(edge: Edge) -> None:
    answer = edge.http.post("/api/v1/protections", json={"repository": "shop/api", "tags": ["no"], "keep_for": "1d"})
    assert problem(answer) == (404, "shop/api:no: tag not found; `pushprune tags shop/api` lists them")
    for body in ({"tags": ["v1"]}, {"tags": [], "keep_for": "1d"}, {"tags": ["v1"], "keep_for": "soon"}):
        assert edge.http.post("/api/v1/protections", json={"repository": "shop/api", **body}).status_code == 422


def test_lists_are_filtered_by_status_and_sorted_by_the_next_deletion(edge: Edge) -> None:
    assert tags(edge, "sort=expires") == ["v1", "v2"]
    assert tags(edge, "status=keep") == ["v2"]
    answer = edge.http.get("/api/v1/repositories?sort=expires&status=delete").json or {}
    assert answer["repositories"] == []
    assert edge.http.get("/api/v1/repositories?status=soon").status_code == 422


def test_the_whole_output_of_a_collection_can_be_read(edge: Edge) -> None:
    assert problem(edge.http.get("/api/v1/collections/log"))[0] == 404
    for started_ms in (7, 1_700_000_000_123):
        edge.store.collection_runs.record(Run(started_ms, started_ms + 1, "done", "scheduled"))
        edge.store.collection_runs.keep_log(started_ms, gzip.compress(f"begun {started_ms}\nended\n".encode()))
    latest = edge.http.get("/api/v1/collections/log").json
    assert latest == {"started_at": rfc3339(1_700_000_000_123_000), "lines": ["begun 1700000000123", "ended"]}
    first = edge.http.get("/api/v1/collections/log", query_string={"started_at": rfc3339(7000)}).json or {}
    assert first["lines"] == ["begun 7", "ended"]
