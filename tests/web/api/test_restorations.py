"""/api/v1/restorations: many images in one request, each with a result; one alone is refused as any request is."""

from typing import Any

import pytest

from service.restore import bulk_restore
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.edge import Edge
from tests.support.problem import problem

V1 = make_image("shop/api:v1").digest
WHERE = "/api/v1/restorations"


def items(*items: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"items": [{"repository": "shop/api", **item} for item in items], **options}


def results(edge: Edge, asked: dict[str, Any]) -> list[tuple[str | None, str]]:
    response = edge.http.post(WHERE, json=asked)
    assert response.status_code == 200, response.text
    return [(result["tag"], result["status"]) for result in (response.json or {})["results"]]


@pytest.mark.parametrize(
    "asked", [items({"tag": "v1"}), items({"digest": V1}), items({"tag": "v1", "digest": V1}, keep_for="7d")]
)
def test_an_image_is_restored(pruned: Edge, registry: FakeRegistry, asked: dict[str, Any]) -> None:
    response = pruned.http.post(WHERE, json=asked)
    (result,) = (response.json or {})["results"]
    assert (result["status"], result["restored"]["tags"]) == ("restored", ["v1"])
    assert registry.tags("shop/api")["v1"] == V1
    assert (pruned.http.get("/api/v1/trash").json or {})["deleted"] == []


@pytest.mark.parametrize(
    ("asked", "status", "sentence"),
    [
        (items({}), 422, "items: name the tag or the digest to restore in shop/api"),
        (items(), 422, "items"),
        (items({"repository": "", "tag": "v1", "digest": V1}), 422, "not a valid name of a repository"),
        (items({"tag": "v1", "as_tag": "a b"}), 422, "not a valid tag; write a tag such as v1"),
        (items({"tag": "v9"}), 409, "shop/api:v9 was not deleted by pushprune"),
        (items({"tag": "v2"}), 409, "shop/api:v2 exists"),
    ],
)
def test_an_image_that_cannot_be_restored_is_a_problem(
    pruned: Edge, asked: dict[str, Any], status: int, sentence: str
) -> None:
    got, detail = problem(pruned.http.post(WHERE, json=asked))
    assert (got, sentence in detail) == (status, True), detail


def test_each_of_many_images_has_its_result(pruned: Edge, registry: FakeRegistry) -> None:
    asked = items({"tag": "v9"}, {"tag": "v1"}, {"tag": "v1"})
    assert results(pruned, {**asked, "dry_run": True}) == [("v9", "refused"), ("v1", "possible")]
    assert registry.tags("shop/api").keys() == {"v2"}, "a dry run restores nothing"
    assert results(pruned, asked) == [("v9", "refused"), ("v1", "restored")]
    assert registry.tags("shop/api").keys() == {"v1", "v2"}


def test_a_registry_that_is_away_is_asked_once(pruned: Edge, registry: FakeRegistry) -> None:
    registry.fail_next("*", "", status=503, times=None)
    status, detail = problem(pruned.http.post(WHERE, json=items({"tag": "v1"})))
    assert (status, "answers 503" in detail) == (502, True)
    assert results(pruned, items({"tag": "v1"}, {"tag": "v2"})) == [("v1", "refused"), ("v2", "not tried")]


def test_images_for_which_there_is_no_time_are_reported_as_not_tried(pruned: Edge, registry: FakeRegistry) -> None:
    targets = [bulk_restore.RestoreTarget("shop/api", tag) for tag in ("v1", "v9")]
    restored = bulk_restore.restore_each(pruned.wiring.restore, targets, "alice", patience_s=-1)
    assert [entry.item.status for entry in restored] == ["not tried", "not tried"]
    assert registry.tags("shop/api").keys() == {"v2"}
