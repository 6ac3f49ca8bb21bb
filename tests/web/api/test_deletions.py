"""Manual deletions over the API: a preview first, then the request; kept images are never deleted."""

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


def test_a_requested_deletion_is_recorded_and_sent_to_a_worker(edge: Edge) -> None:
    response = delete(edge, tags=["v1"])
    assert response.status_code == 200, response.text
    result = response.json
    assert isinstance(result, dict)
    assert (result["requested"], [(row["repository"], row["tag"]) for row in result["deletions"]], result["kept"]) == (
        True, [("shop/api", "v1")], [],
    )  # fmt: skip
    assert pending(edge) == [("v1", "API", None)]
    assert edge.sent == [("enforce", "shop/api")]


def test_a_dry_run_only_says_what_would_be_deleted(edge: Edge) -> None:
    result = delete(edge, tags=["v*"], dry_run=True).json
    assert isinstance(result, dict)
    assert (result["requested"], sorted(row["tag"] for row in result["deletions"])) == (False, ["v1", "v2"])
    assert {row["reason"] for row in result["deletions"]} == {"to be deleted manually"}
    assert (pending(edge), edge.sent) == ([], [])


def test_a_deletion_selects_all_tags_but_some_or_a_digest(edge: Edge) -> None:
    result = delete(edge, all_but=["latest", "v2"], dry_run=True).json
    assert isinstance(result, dict)
    assert [row["tag"] for row in result["deletions"]] == ["v1"]
    result = delete(edge, digests=[make_image("v2").digest]).json
    assert isinstance(result, dict)
    assert {row["tag"] for row in result["deletions"]} == {"v2", None} or {
        row["tag"] for row in result["deletions"]
    } == {"v2"}
    assert ("v2", "API", None) in pending(edge)


def test_a_tag_that_the_policy_protects_is_kept_unless_forced(edge: Edge) -> None:
    status, sentence = problem(delete(edge, tags=["latest"]))
    assert (status, sentence.startswith("shop/api:latest is kept: protected")) == (409, True)
    assert delete(edge, tags=["latest"], force=True).status_code == 200
    assert [name for name, _, _ in pending(edge)] == ["latest"]


def test_an_unknown_name_is_not_found(edge: Edge) -> None:
    assert problem(delete(edge, tags=["nope"]))[0] == 404
    assert problem(delete(edge, repository="shop/nope", tags=["v1"]))[0] == 404


def results(response: TestResponse) -> list[tuple[str | None, str]]:
    assert response.status_code == 200, response.text
    return [(result["tag"], result["status"]) for result in (response.json or {})["results"]]


def test_each_of_many_names_has_its_result_and_a_refused_name_stops_no_other(edge: Edge) -> None:
    names = ["nope", "v1", "latest", "v*"]
    assert results(delete(edge, tags=names, dry_run=True)) == [
        ("nope", "refused"), ("v1", "possible"), ("latest", "refused"), ("v*", "possible"),
    ]  # fmt: skip
    assert (pending(edge), edge.sent) == ([], [])
    response = delete(edge, tags=names)
    assert [status for _, status in results(response)] == ["refused", "requested", "refused", "requested"]
    assert [result["message"] for result in (response.json or {})["results"]] == [
        "shop/api:nope: tag not found; `pushprune tags shop/api` lists them",
        "1 tag queued for deletion",
        "shop/api:latest is kept: protected by the policy; --force deletes it anyway",
        "2 tags queued for deletion",
    ]
    assert [name for name, _, _ in pending(edge)] == ["v1", "v2"]


def test_a_digest_is_refused_with_all_of_its_tags(edge: Edge, registry: FakeRegistry) -> None:
    latest = make_image("latest")
    registry.push("shop/api", "v3", latest)
    record(edge.store.history, event(9, tag="v3", digest=latest.digest))
    response = delete(edge, tags=["v1"], digests=[latest.digest])
    assert [status for _, status in results(response)] == ["requested", "refused"]
    assert [name for name, _, _ in pending(edge)] == ["v1"]


def test_a_tag_that_moved_since_the_user_looked_is_kept(edge: Edge) -> None:
    seen = {tag: make_image("v1").digest for tag in ("v1", "v2")}
    response = delete(edge, tags=["v1", "v2"], seen=seen)
    assert results(response) == [("v1", "requested"), ("v2", "refused")]
    assert [name for name, _, _ in pending(edge)] == ["v1"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [({}, "name either tags or digests"), ({"tags": ["v1"], "all_but": ["v2"]}, "name either tags or digests"),
     ({"tags": ["!v1"]}, "begins with !"), ({"digests": ["v1"]}, "not a valid digest"), ({"tags": []}, "name either"),
     ({"repository": "shop/*", "digests": ["sha256:" + "0" * 64]}, "a digest belongs to one repository"),
     *(({**names, "seen": {"v1": "sha256:" + "0" * 64}}, "name each of its tags in tags, and no glob")
       for names in ({"tags": ["v*"]}, {"tags": ["v1", "v*"]}, {"tags": ["v2"]}, {"all_but": ["latest"]}))],
)  # fmt: skip
def test_a_wrong_request_is_refused_in_one_sentence(edge: Edge, asked: dict[str, Any], message: str) -> None:
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


def test_the_registry_away_is_reported(edge: Edge, registry: FakeRegistry) -> None:
    registry.fail_next("GET", "tags/list", status=503)
    assert problem(delete(edge, tags=["v1"]))[0] == 502
