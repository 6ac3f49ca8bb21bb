"""/api/v1/trash: what can be restored."""

from tests.fakes.images import make_image
from tests.support.edge import Edge

V1 = make_image("shop/api:v1").digest
WHERE = "/api/v1/trash/shop/api"


def test_what_went_is_listed_with_its_reason(pruned: Edge) -> None:
    answer = pruned.http.get(WHERE).json or {}
    (image,) = answer["deleted"]
    assert (answer["repository"], image["tag"], image["digest"]) == ("shop/api", "v1", V1)
    assert image["reason"] == "older than the newest 1 (rule last)"
    assert image["restorable_until"] > image["deleted_at"] > image["pushed_at"]
