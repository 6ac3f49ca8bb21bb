"""/api/v1/trash: what can be put back, and putting it back."""

import pytest

from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.edge import Edge
from tests.support.problem import problem

V1 = make_image("shop/api:v1").digest
WHERE = "/api/v1/trash/shop/api"


def test_what_went_is_listed_with_its_reason(pruned: Edge) -> None:
    answer = pruned.http.get(WHERE).json or {}
    (image,) = answer["deleted"]
    assert (answer["repository"], image["tag"], image["digest"]) == ("shop/api", "v1", V1)
    assert image["reason"] == "older than the newest 1 (rule last)"
    assert image["restorable_until"] > image["deleted_at"] > image["pushed_at"]


@pytest.mark.parametrize("asked", [{"tag": "v1"}, {"digest": V1}, {"tag": "v1", "keep_for": "7d"}])
def test_it_is_put_back(pruned: Edge, registry: FakeRegistry, asked: dict[str, str]) -> None:
    answer = pruned.http.post(f"{WHERE}/restore", json=asked)
    assert answer.status_code == 200
    assert (answer.json or {})["tags"] == ["v1"]
    assert registry.tags("shop/api")["v1"] == V1
    assert (pruned.http.get(WHERE).json or {})["deleted"] == []


@pytest.mark.parametrize(
    ("asked", "status", "sentence"),
    [
        ({}, 422, "name either the tag or the digest to restore"),
        ({"tag": "v1", "digest": V1}, 422, "name either the tag or the digest to restore"),
        ({"tag": "v1", "as_tag": "a b"}, 422, "as_tag: not a valid tag; write a tag such as v1"),
        ({"tag": "v9"}, 409, "shop/api:v9 was not deleted by pushprune"),
        ({"tag": "v2"}, 409, "shop/api:v2 exists"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    pruned: Edge, asked: dict[str, str], status: int, sentence: str
) -> None:
    got, detail = problem(pruned.http.post(f"{WHERE}/restore", json=asked))
    assert (got, sentence in detail) == (status, True), detail


def test_a_registry_that_is_away_is_said_so(pruned: Edge, registry: FakeRegistry) -> None:
    registry.fail_next("*", "", status=503, times=None)
    status, detail = problem(pruned.http.post(f"{WHERE}/restore", json={"tag": "v1"}))
    assert (status, "answers 503" in detail) == (502, True)


def test_looking_puts_nothing_back(pruned: Edge, registry: FakeRegistry) -> None:
    assert pruned.http.get(f"{WHERE}/restore").status_code in (404, 405)
    assert registry.tags("shop/api").keys() == {"v2"}
