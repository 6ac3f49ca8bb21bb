"""Deleting by hand over the API: shown first, asked for, and never what stays."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.edge import Edge, ServeEdge
from tests.support.problem import problem
from tests.support.record import event, record


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as made:
        yield made


@pytest.fixture
def edge(serve_over_valkey: ServeEdge, registry: FakeRegistry) -> Edge:
    """shop/api with v1, v2 and the protected latest; nothing that the policy would delete."""
    edge = serve_over_valkey(policy=keep_last(10, protect=["latest"]), registry={"url": registry.url})
    for number, tag in enumerate(("v1", "v2", "latest")):
        image = make_image(tag)
        registry.push("shop/api", tag, image)
        record(edge.store.history, event(number, tag=tag, digest=image.digest))
    edge.sent.clear()
    return edge


def delete(edge: Edge, **asked: Any) -> TestResponse:
    return edge.http.post("/api/v1/deletions", json={"repository": "shop/api", **asked})


def pending(edge: Edge) -> list[tuple[str, str, str | None]]:
    result = edge.http.get("/api/v1/deletions/shop/api").json
    assert isinstance(result, dict)
    return [(item["name"], item["by"], item["rejected"]) for item in result["pending"]]


def test_what_is_asked_for_is_noted_and_a_worker_is_told(edge: Edge) -> None:
    response = delete(edge, tags=["v1"])
    assert response.status_code == 200, response.text
    result = response.json
    assert isinstance(result, dict)
    assert (result["requested"], [(row["repository"], row["tag"]) for row in result["deletions"]], result["kept"]) == (
        True, [("shop/api", "v1")], [],
    )  # fmt: skip
    assert pending(edge) == [("v1", "API", None)]
    assert edge.sent == ["shop/api"]


def test_a_dry_run_only_says_what_would_go(edge: Edge) -> None:
    result = delete(edge, tags=["v*"], dry_run=True).json
    assert isinstance(result, dict)
    assert (result["requested"], sorted(row["tag"] for row in result["deletions"])) == (False, ["v1", "v2"])
    assert {row["reason"] for row in result["deletions"]} == {"to be deleted manually"}
    assert (pending(edge), edge.sent) == ([], [])


def test_all_but_some_and_a_digest(edge: Edge) -> None:
    result = delete(edge, all_but=["latest", "v2"], dry_run=True).json
    assert isinstance(result, dict)
    assert [row["tag"] for row in result["deletions"]] == ["v1"]
    result = delete(edge, digests=[make_image("v2").digest]).json
    assert isinstance(result, dict)
    assert {row["tag"] for row in result["deletions"]} == {"v2", None} or {
        row["tag"] for row in result["deletions"]
    } == {"v2"}
    assert ("v2", "API", None) in pending(edge)


def test_what_the_policy_protects_stays_unless_forced(edge: Edge) -> None:
    status, sentence = problem(delete(edge, tags=["latest"]))
    assert (status, sentence.startswith("shop/api:latest stays: protected")) == (409, True)
    assert delete(edge, tags=["latest"], force=True).status_code == 200
    assert [name for name, _, _ in pending(edge)] == ["latest"]


def test_what_is_not_there_is_not_found(edge: Edge) -> None:
    assert problem(delete(edge, tags=["nope"]))[0] == 404
    assert problem(delete(edge, repository="shop/nope", tags=["v1"]))[0] == 404


@pytest.mark.parametrize(
    ("asked", "message"),
    [({}, "name either tags or digests"), ({"tags": ["v1"], "all_but": ["v2"]}, "name either tags or digests"),
     ({"tags": ["!v1"]}, "begins with !"), ({"digests": ["v1"]}, "not a valid digest"), ({"tags": []}, "name either"),
     ({"repository": "shop/*", "digests": ["sha256:" + "0" * 64]}, "a digest belongs to one repository")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_sentence(edge: Edge, asked: dict[str, Any], message: str) -> None:
    status, sentence = problem(delete(edge, **asked))
    assert (status, message in sentence) == (422, True), sentence


@pytest.mark.parametrize(
    "body", ['"\\u00da"', '"{\\"repository\\": \\"shop/api\\", \\"tags\\": [\\"v1\\"]}"', "[]", "5", "null"]
)
def test_a_body_that_is_no_object_is_refused(edge: Edge, body: str) -> None:
    response = edge.http.post("/api/v1/deletions", data=body, content_type="application/json")
    assert problem(response) == (422, "the request must hold a JSON object")
    assert pending(edge) == []


def test_without_a_registry_it_is_a_conflict(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey()
    record(edge.store.history, event(1))
    status, sentence = problem(delete(edge, tags=["v1"]))
    assert (status, "registry.url is not set" in sentence) == (409, True)


def test_the_registry_away_is_said(edge: Edge, registry: FakeRegistry) -> None:
    registry.fail_next("GET", "tags/list", status=503)
    assert problem(delete(edge, tags=["v1"]))[0] == 502
