"""GET /api/v1/repositories/R/explain: why each tag is kept or deleted."""

from typing import Any
from urllib.parse import quote

import pytest

from service.domain.timestamps import rfc3339
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event, us
from tests.support.problem import problem

HOSTILE = [
    "<script>alert(1)</script>",
    "'\"",
    "a\u202egpj.exe",
    "x" * 300,
    "..",
    "../../etc",
    "a/../b",
    "%2e%2e",
    "\x00",
    "é",
]


@pytest.fixture
def shop(serve_over_valkey: ServeEdge) -> Edge:
    """Three tags: the last push and the tag that shares its digest are kept, the third is not."""
    edge = serve_over_valkey(policy=keep_last(1))
    edge.heard(event(tag="v1", at=1), event(tag="v2", at=2, actor="bob"), event(tag="same", digest="v2", at=2.5))
    return edge


def explain(edge: Edge, query: str = "", repository: str = "shop/api") -> dict[str, dict[str, Any]]:
    response = edge.http.get(f"/api/v1/repositories/{repository}/explain{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    assert response.json["repository"] == "shop/api"
    return {tag["tag"]: tag for tag in response.json["tags"]}


def test_every_tag_is_explained_the_newest_push_first(shop: Edge) -> None:
    assert list(explain(shop)) == ["same", "v2", "v1"]


def test_an_answer_says_if_the_policy_is_a_dry_run(serve_over_valkey: ServeEdge) -> None:
    for dry in (True, False):
        edge = serve_over_valkey(policy=keep_last(1, dry_run=dry))
        edge.heard(event(tag="v1", at=1))
        assert (edge.http.get("/api/v1/repositories/shop/api/explain").json or {})["dry_run"] is dry


def test_the_explanation_of_a_tag_to_be_deleted_names_rule_place_and_reason(shop: Edge) -> None:
    tag = explain(shop)["v1"]
    result = {
        "rule": "last", "keep": False, "reason": "older than the newest (rule last)", "kept_until": None,
        "place": 2, "limit": 1,
    }  # fmt: skip
    assert tag.pop("earliest_deletion") > rfc3339(us(0))
    assert tag == {
        "repository": "shop/api", "tag": "v1", "digest": digest_of("v1"), "pushed_at": rfc3339(us(1)),
        "pulled_at": None, "created_at": None, "kept_until": None, "kept_as": None, "unknown_age": None, "by": "",
        "platforms": None, "actor": "alice", "size_bytes": None, "verdict": "delete",
        "reason": "older than the newest (rule last)",
        "rule": "last", "rule_results": [result], "shares": [], "index": None, "held": None, "only_after": None,
        "needs_approval": False,
    }  # fmt: skip


def test_the_answer_has_only_the_requested_tags(shop: Edge) -> None:
    assert list(explain(shop, "?tag=v1")) == ["v1"]
    assert list(explain(shop, "?tag=v1&tag=same&tag=v1")) == ["same", "v1"]


def test_a_slash_may_be_encoded(shop: Edge) -> None:
    assert list(explain(shop, repository="shop%2Fapi")) == ["same", "v2", "v1"]


def test_a_repository_may_be_called_like_the_verb(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey()
    edge.heard(event(repository="a/explain", tag="v1"))
    assert edge.http.get("/api/v1/repositories/a/explain/explain").status_code == 200
    assert edge.http.get("/api/v1/repositories/a/explain").status_code == 404


@pytest.mark.parametrize("name", ["shop", "shop/ap", "shop/api/x", "SHOP/API", *HOSTILE])
def test_an_unknown_repository_is_not_found(shop: Edge, name: str) -> None:
    response = shop.http.get(f"/api/v1/repositories/{quote(name, safe='')}/explain")
    status, detail = problem(response)
    assert status == 404
    assert detail == f"no repository {name!r} is known"
    assert "\u202e" not in detail


@pytest.mark.parametrize("name", ["v9", "V1", "v1 ", "", *HOSTILE])
def test_an_unknown_tag_is_not_found(shop: Edge, name: str) -> None:
    response = shop.http.get("/api/v1/repositories/shop/api/explain", query_string={"tag": ["v1", name]})
    assert problem(response) == (404, f"there is no tag {name!r} in 'shop/api'")


def test_bytes_that_are_no_text_are_no_name(shop: Edge) -> None:
    assert problem(shop.http.get("/api/v1/repositories/%ff%fe/explain"))[0] == 404
    assert problem(shop.http.get("/api/v1/repositories/shop/api/explain?tag=%ff"))[0] == 404


def test_a_tag_that_was_deleted_is_answered_with_its_deletion(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey()
    edge.heard(event(tag="v1", at=1), event("delete", tag="v1", at=2))
    assert explain(edge) == {}
    response = edge.http.get("/api/v1/repositories/shop/api/explain?tag=v1")
    assert problem(response) == (404, f"shop/api:v1 was deleted {rfc3339(us(2))} by alice")


def test_a_slip_of_the_pen_is_not_taken_for_silence(shop: Edge) -> None:
    response = shop.http.get("/api/v1/repositories/shop/api/explain?tags=v1")
    assert problem(response) == (422, "tags is unknown; did you mean tag?")
